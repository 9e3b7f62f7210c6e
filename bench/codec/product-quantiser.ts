/**
 * Product quantisation (Jégou, Douze and Schmid, PAMI 2011): cut the vector into parts, and send
 * for each the one-byte number of the nearest of 256 centroids that k-means found on the train split.
 *
 * The codebook must reach every device as well (256 × dim floats); like the
 * model of ours it is not counted in the bytes of a frame.
 * @module
 */
import { integerBelow, type Random } from "../../src/core/index.ts";
import type { BlockCodec } from "./block-codec.ts";

const CENTROIDS = 256;

interface Part {
  readonly start: number;
  readonly width: number;
  /** 256 rows of `width`. */
  readonly centroids: Float64Array;
}

export interface PqEffort {
  readonly iterations: number;
  readonly random: Random;
}

/** Learns a codec of `parts` bytes per vector from `vectors`, already centred. */
export function trainProductQuantiser(
  vectors: Float64Array,
  dim: number,
  parts: number,
  effort: PqEffort,
): BlockCodec {
  const book = Array.from({ length: parts }, (_, index): Part => {
    const start = Math.floor((index * dim) / parts);
    const width = Math.floor(((index + 1) * dim) / parts) - start;
    return { start, width, centroids: kMeans(columns(vectors, dim, start, width), width, effort) };
  });
  return {
    encode(block) {
      const count = block.length / dim;
      const bytes = new Uint8Array(count * parts);
      for (const [index, { start, width, centroids }] of book.entries()) {
        const codes = nearestOf(columns(block, dim, start, width), width, centroids);
        for (let row = 0; row < count; row += 1) bytes[row * parts + index] = codes[row] as number;
      }
      return bytes;
    },
    decode(bytes) {
      const count = bytes.length / parts;
      const block = new Float64Array(count * dim);
      for (let row = 0; row < count; row += 1) {
        for (const [index, { start, width, centroids }] of book.entries()) {
          const from = (bytes[row * parts + index] as number) * width;
          block.set(centroids.subarray(from, from + width), row * dim + start);
        }
      }
      return block;
    },
  };
}

function columns(vectors: Float64Array, dim: number, start: number, width: number): Float64Array {
  const count = vectors.length / dim;
  const cut = new Float64Array(count * width);
  for (let row = 0; row < count; row += 1) {
    const from = row * dim + start;
    cut.set(vectors.subarray(from, from + width), row * width);
  }
  return cut;
}

/** Lloyd's algorithm from random rows; a centroid that nobody chose moves to a random row. */
function kMeans(rows: Float64Array, width: number, effort: PqEffort): Float64Array {
  const count = rows.length / width;
  const centroids = new Float64Array(CENTROIDS * width);
  const place = (centroid: number) => {
    const row = integerBelow(effort.random, count);
    centroids.set(rows.subarray(row * width, (row + 1) * width), centroid * width);
  };
  for (let centroid = 0; centroid < CENTROIDS; centroid += 1) place(centroid);
  for (let round = 0; round < effort.iterations; round += 1) {
    const codes = nearestOf(rows, width, centroids);
    const members = new Float64Array(CENTROIDS);
    centroids.fill(0);
    for (let row = 0; row < count; row += 1) {
      const code = codes[row] as number;
      members[code] = (members[code] as number) + 1;
      for (let j = 0; j < width; j += 1) {
        const at = code * width + j;
        centroids[at] = (centroids[at] as number) + (rows[row * width + j] as number);
      }
    }
    for (let centroid = 0; centroid < CENTROIDS; centroid += 1) {
      const size = members[centroid] as number;
      if (size === 0) {
        place(centroid);
        continue;
      }
      for (let at = centroid * width; at < (centroid + 1) * width; at += 1) {
        centroids[at] = (centroids[at] as number) / size;
      }
    }
  }
  return centroids;
}

function nearestOf(rows: Float64Array, width: number, centroids: Float64Array): Uint8Array {
  const count = rows.length / width;
  const codes = new Uint8Array(count);
  for (let row = 0; row < count; row += 1) {
    let best = Number.POSITIVE_INFINITY;
    for (let centroid = 0; centroid < CENTROIDS; centroid += 1) {
      let distance = 0;
      for (let j = 0; j < width; j += 1) {
        const difference =
          (rows[row * width + j] as number) - (centroids[centroid * width + j] as number);
        distance += difference * difference;
      }
      if (distance < best) {
        best = distance;
        codes[row] = centroid;
      }
    }
  }
  return codes;
}
