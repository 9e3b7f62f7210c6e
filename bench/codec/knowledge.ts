/**
 * What may be known from the train split: its mean, and the codec model that the product's own
 * learner makes of it. The model's basis is also the ruler that the rate–distortion limit of the
 * test split is measured with.
 * @module
 */

import { trainCodec } from "../../src/aggregate/codec-training.ts";
import { isBetter, SAMPLES_MAX } from "../../src/aggregate/model-policy.ts";
import { MODEL_DIMENSION_MAX } from "../../src/wire/codec1/model.ts";
import { type CodecModel, type GridVector, toGrid } from "../../src/wire/index.ts";

export interface Knowledge {
  /** Of the train split, in the pattern domain. */
  readonly mean: Float64Array;
  /** As every peer computes with it; null above 1,024 dimensions, where there are no models. */
  readonly model: CodecModel | null;
  /** Whether the aggregator would publish it: of white vectors there is nothing to learn. */
  readonly worthIt: boolean;
}

export function learnFrom(train: Float32Array, dim: number): Knowledge {
  const mean = meanOf(train, dim);
  if (dim > MODEL_DIMENSION_MAX) return { mean, model: null, worthIt: false };
  const rows = Math.min(SAMPLES_MAX, train.length / dim);
  const samples = gridRows(train.subarray(0, rows * dim), dim);
  const { model, gainDb } = trainCodec(samples, 1, dim, null);
  return { mean, model, worthIt: isBetter(gainDb, null) };
}

/** Rows of `dim` floats, each on the grid. */
export function gridRows(vectors: Float32Array, dim: number): GridVector[] {
  return Array.from({ length: vectors.length / dim }, (_, row) =>
    toGrid(vectors.subarray(row * dim, (row + 1) * dim)),
  );
}

export function meanOf(vectors: Float32Array, dim: number): Float64Array {
  const mean = new Float64Array(dim);
  const count = vectors.length / dim;
  for (let at = 0; at < vectors.length; at += 1) {
    mean[at % dim] = (mean[at % dim] as number) + (vectors[at] as number) / count;
  }
  return mean;
}

/** Mean square of `vectors` about `mean` along each row of `basis`. */
export function variancesAlong(
  basis: Float32Array,
  mean: Float64Array,
  vectors: Float32Array,
): Float64Array {
  const dim = mean.length;
  const count = vectors.length / dim;
  const variances = new Float64Array(dim);
  const centred = new Float64Array(dim);
  for (let row = 0; row < count; row += 1) {
    for (let j = 0; j < dim; j += 1) {
      centred[j] = (vectors[row * dim + j] as number) - (mean[j] as number);
    }
    for (let i = 0; i < dim; i += 1) {
      let dot = 0;
      for (let j = 0; j < dim; j += 1) {
        dot += (basis[i * dim + j] as number) * (centred[j] as number);
      }
      variances[i] = (variances[i] as number) + (dot * dot) / count;
    }
  }
  return variances;
}
