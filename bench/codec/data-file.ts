/**
 * Anyone's own vectors: a file of little-endian float32, row after row, without a head.
 *
 * Rows are shuffled by a fixed seed before they are split, because files tend to
 * be sorted by something, and a test split from one corner would be no test.
 * @module
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { integerBelow, limits, messageOf, seededRandom } from "../../src/core/index.ts";
import { normaliseRows } from "./gaussian.ts";
import type { SetSizes, VectorSet } from "./sets.ts";

/** What the caller gave is wrong; `message` says what would be right. */
export class UsageError extends Error {}

const FLOAT_BYTES = 4;
/** One pull of 100, drift and queries apart, and something left to learn from. */
export const ROWS_MIN = 400;
const TEST_MIN = 100;
const TEST_MAX = 600;
const QUERY_MIN = 50;
const QUERY_MAX = 200;

/** Reads, checks, normalises and splits `file`. Throws {@link UsageError}. */
export function fileSet(file: string, dim: number, seed: number): VectorSet {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${messageOf(error)}`);
  }
  const vectors = vectorsOf(bytes, dim, file);
  const sizes = splitOf(vectors.length / dim);
  const parts = shuffledParts(vectors, dim, sizes, seed);
  const name = basename(file).replace(/\.f32$/, "");
  return { name, dim, white: false, ...parts };
}

/** The rows of a file, at unit length. Throws {@link UsageError}. */
function vectorsOf(bytes: Uint8Array, dim: number, file: string): Float32Array {
  if (!Number.isInteger(dim) || dim < limits.DIMENSION_MIN || dim > limits.DIMENSION_MAX) {
    throw new UsageError(
      `--dim must be an integer ${limits.DIMENSION_MIN} to ${limits.DIMENSION_MAX}: got ${dim}`,
    );
  }
  const rowBytes = dim * FLOAT_BYTES;
  const rows = bytes.length / rowBytes;
  if (!Number.isInteger(rows)) {
    throw new UsageError(
      `${file} has ${bytes.length} bytes, which is no whole number of rows of ${dim} float32 ` +
        `(${rowBytes} bytes each): is --dim right?`,
    );
  }
  if (rows < ROWS_MIN) {
    throw new UsageError(`${file} has ${rows} rows of ${dim}: at least ${ROWS_MIN} are needed`);
  }
  const vectors = new Float32Array(rows * dim);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < vectors.length; at += 1) {
    const value = view.getFloat32(at * FLOAT_BYTES, true);
    if (!Number.isFinite(value)) {
      throw new UsageError(
        `${file}: row ${Math.floor(at / dim)} has ${value} at component ${at % dim}: ` +
          "is it little-endian float32?",
      );
    }
    vectors[at] = value;
  }
  const zero = normaliseRows(vectors, dim);
  if (zero >= 0) throw new UsageError(`${file}: row ${zero} is all zeros and has no direction`);
  return vectors;
}

/** How many rows each part gets: about a fifth to test on, a tenth to ask with. */
export function splitOf(rows: number): SetSizes {
  const clamp = (value: number, min: number, max: number) => Math.max(min, Math.min(max, value));
  const test = clamp(Math.floor(rows / 500) * 100, TEST_MIN, TEST_MAX);
  const query = clamp(Math.floor(rows / 10), QUERY_MIN, QUERY_MAX);
  return { train: rows - test - query, test, query };
}

function shuffledParts(
  vectors: Float32Array,
  dim: number,
  sizes: SetSizes,
  seed: number,
): Pick<VectorSet, "train" | "test" | "query"> {
  const random = seededRandom(seed);
  const order = Uint32Array.from({ length: vectors.length / dim }, (_, row) => row);
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = integerBelow(random, last + 1);
    [order[last], order[other]] = [order[other] as number, order[last] as number];
  }
  let next = 0;
  const take = (count: number): Float32Array => {
    const part = new Float32Array(count * dim);
    for (let row = 0; row < count; row += 1, next += 1) {
      const start = (order[next] as number) * dim;
      part.set(vectors.subarray(start, start + dim), row * dim);
    }
    return part;
  };
  return { test: take(sizes.test), query: take(sizes.query), train: take(sizes.train) };
}
