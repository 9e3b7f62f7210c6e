/**
 * Gaussian vectors for tests of the coefficient coder, and what no coder can beat on them.
 * @module
 */
import { seededRandom } from "../../../src/core/index.ts";
import type { BlockPlan } from "../../../src/wire/codec1/block.ts";
import { gaussian } from "./models.ts";

const GRID = 16384;
export const DIM = 384;

/** Variances in squared grid steps that add up to `energy` units. */
function scaled(shape: readonly number[], energy: number): number[] {
  const sum = shape.reduce((total, part) => total + part, 0);
  return shape.map((part) => (part / sum) * energy * GRID * GRID);
}

/** All alike, as behind a rotation. */
export const FLAT = scaled(
  Array.from({ length: DIM }, () => 1),
  1,
);
/** As 384-dimensional sentence embeddings have them behind their Karhunen–Loève transform. */
export const FALLING = scaled(
  Array.from({ length: DIM }, (_, i) => (i + 4) ** -0.69 * Math.exp(-((i / 220) ** 2.43))),
  0.845,
);

function spectrumOf(variances: readonly number[]): Int16Array {
  return Int16Array.from(variances, (variance) => Math.round(16 * Math.log2(variance)));
}

/** `count` vectors of independent normal numbers. */
export function drawBlock(variances: readonly number[], count: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  const block = new Float64Array(count * variances.length);
  for (let at = 0; at < block.length; at += 1) {
    block[at] = gaussian(random) * Math.sqrt(variances[at % variances.length] as number);
  }
  return block;
}

export function planOf(
  variances: readonly number[],
  count: number,
  more: Partial<BlockPlan> = {},
): BlockPlan {
  return {
    dim: variances.length,
    states: 8,
    step: 280,
    spectrum: spectrumOf(variances),
    kinds: Array.from({ length: count }, () => "absolute" as const),
    gain: false,
    ...more,
  };
}

export function distortionOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += ((a[at] as number) - (b[at] as number)) ** 2;
  return sum;
}

/**
 * How far above the Shannon limit a distortion per vector is, in dB, at so many bits per vector:
 * reverse water-filling (Cover and Thomas, theorem 10.3.3).
 */
export function gapDb(variances: readonly number[], bits: number, distortion: number): number {
  let low = 0;
  let high = Math.max(...variances);
  for (let round = 0; round < 100; round += 1) {
    const level = (low + high) / 2;
    const rate = variances.reduce(
      (sum, variance) => sum + Math.max(0, 0.5 * Math.log2(variance / level)),
      0,
    );
    if (rate > bits) low = level;
    else high = level;
  }
  const least = variances.reduce((sum, variance) => sum + Math.min(variance, high), 0);
  return 10 * Math.log10(distortion / least);
}
