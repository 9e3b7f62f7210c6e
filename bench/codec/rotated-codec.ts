/**
 * The fixed-rate baselines: rotate at random, so that components look Gaussian, then round each to
 * the 2 or 4 levels that are best for a Gaussian (Max 1960, Lloyd 1982), with one scale per vector.
 *
 * - Lloyd–Max keeps the error small: the scale is ⟨y, q⟩ / ⟨q, q⟩.
 * - DRIVE (Vargaftik et al., NeurIPS 2021; 1 bit) and EDEN (ICML 2022; any rate) keep the mean of
 *   many senders right: the scale is ⟨y, y⟩ / ⟨y, q⟩, and every sender turns by a seed of its own.
 *   At 1 bit EDEN is DRIVE: the size of its level goes into the scale.
 * @module
 */
import { type BlockCodec, packCodes, unpackCodes } from "./block-codec.ts";
import { fromHalf, toHalf } from "./half.ts";
import { rotationOf } from "./rotate.ts";
import { joined } from "./scalar-codec.ts";

/** Positive levels for N(0, 1), and the threshold between them; the others mirror them. */
const LEVELS = { 1: [0.7978845608], 2: [0.4527800398, 1.510417608] } as const;
const THRESHOLD = 0.9815988237;
const SCALE_BYTES = 2;
const SHARED_SEED = 0x0e6a;

/** `scale` says what it is chosen for; see above. */
export function rotatedCodec(bits: 1 | 2, scale: "least-error" | "unbiased"): BlockCodec {
  const levels = levelsOf(bits);
  const unbiased = scale === "unbiased";
  const seedOf = (seed: number, row: number) =>
    unbiased ? Math.imul(seed + 1, 0x9e3779b1) + row : SHARED_SEED;
  return {
    encode(vectors, dim, seed) {
      const count = vectors.length / dim;
      const scales = new Uint16Array(count);
      const codes = new Uint8Array(vectors.length);
      for (let row = 0; row < count; row += 1) {
        const vector = vectors.slice(row * dim, (row + 1) * dim);
        rotationOf(dim, seedOf(seed, row)).forward(vector);
        const into = codes.subarray(row * dim, (row + 1) * dim);
        const { yy, yq, qq } = roundVector(vector, levels, bits, into);
        if (yy > 0) scales[row] = toHalf(unbiased ? yy / yq : yq / qq);
      }
      return joined(new Uint8Array(scales.buffer), packCodes(codes, bits));
    },
    decode(bytes, dim, seed) {
      const count = Math.floor(bytes.length / (SCALE_BYTES + (dim * bits) / 8));
      const scales = new Uint16Array(bytes.slice(0, count * SCALE_BYTES).buffer);
      const codes = unpackCodes(bytes.subarray(count * SCALE_BYTES), bits, count * dim);
      const vectors = new Float64Array(count * dim);
      for (let row = 0; row < count; row += 1) {
        const size = fromHalf(scales[row] as number);
        const vector = vectors.subarray(row * dim, (row + 1) * dim);
        for (let j = 0; j < dim; j += 1) {
          vector[j] = (levels[codes[row * dim + j] as number] as number) * size;
        }
        rotationOf(dim, seedOf(seed, row)).inverse(vector);
      }
      return vectors;
    },
  };
}

/** Rounds a rotated vector into codes and gives ⟨y, y⟩, ⟨y, q⟩ and ⟨q, q⟩. */
function roundVector(
  vector: Float64Array,
  levels: Float64Array,
  bits: 1 | 2,
  codes: Uint8Array,
): { yy: number; yq: number; qq: number } {
  const yy = vector.reduce((sum, y) => sum + y * y, 0);
  const threshold = THRESHOLD * Math.sqrt(yy / vector.length);
  let yq = 0;
  let qq = 0;
  for (let j = 0; j < vector.length; j += 1) {
    const y = vector[j] as number;
    const far = bits === 2 && Math.abs(y) > threshold ? 2 : 0;
    codes[j] = far + (y < 0 ? 1 : 0);
    const q = levels[codes[j] as number] as number;
    yq += y * q;
    qq += q * q;
  }
  return { yy, yq, qq };
}

/** By code: the lowest bit is the sign, the other says which level. */
function levelsOf(bits: 1 | 2): Float64Array {
  return Float64Array.from(LEVELS[bits].flatMap((level) => [level, -level]));
}
