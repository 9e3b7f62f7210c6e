/**
 * Embeddings like real ones, for tests of what is learnt from them: a mean, a spectrum that falls
 * steeply, a random rotation.
 * @module
 */
import { seededRandom } from "../../src/core/index.ts";
import { GRID, type GridVector } from "../../src/wire/index.ts";
import { gaussian, randomBasis } from "../wire/codec1/models.ts";

export interface Population {
  readonly dim: number;
  /** Row i has variance `variances[i]`, in units squared. */
  readonly basis: Float32Array;
  readonly variances: readonly number[];
  /** In units. */
  readonly mean: readonly number[];
}

/** Norms about 1, of which the mean has `meanShare` of the energy. */
export function population(dim: number, meanShare = 0.155): Population {
  const falling = Array.from({ length: dim }, (_, at) => (at + 2) ** -1.2);
  const total = falling.reduce((sum, variance) => sum + variance, 0);
  return {
    dim,
    basis: randomBasis(dim, 77),
    variances: falling.map((variance) => ((1 - meanShare) * variance) / total),
    mean: Array.from({ length: dim }, (_, at) => (at % 2 ? -1 : 1) * Math.sqrt(meanShare / dim)),
  };
}

/** `count` vectors drawn from `from`. */
export function drawn(from: Population, count: number, seed: number): GridVector[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const vector = Float64Array.from(from.mean);
    for (const [row, variance] of from.variances.entries()) {
      const coordinate = Math.sqrt(variance) * gaussian(random);
      for (let at = 0; at < from.dim; at += 1) {
        vector[at] =
          (vector[at] as number) + coordinate * (from.basis[row * from.dim + at] as number);
      }
    }
    return Int16Array.from(vector, (component) => Math.round(component * GRID));
  });
}
