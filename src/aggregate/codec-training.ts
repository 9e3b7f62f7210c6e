/**
 * Learning a codec model from patterns: mean, principal components (Pearson 1901, Hotelling 1933)
 * and the variance to expect along each.
 *
 * Peers compute with the basis that comes out of the published bytes, so the mean and the
 * spectrum are measured along that one. The eigendecomposition is ml-matrix's (Householder
 * tridiagonalisation and QL, from JAMA); it and the logarithms may differ in the last bit between
 * engines, which does not matter: only one process learns a model, and everybody decodes it.
 *
 * Cost: 1.5 s of CPU for 4,096 patterns of 384 dimensions, 12 s for 1,024; see
 * codec-trainer-thread.ts. Beyond 1,024 dimensions there is no model, and the rotation serves.
 * @module
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { limits, SerializationError } from "../core/index.ts";
import {
  type CodecModel,
  decodeModel,
  encodeModel,
  type GridVector,
  MODEL_DIMENSION_MAX,
  MODEL_VERSION_MAX,
  SPECTRUM_MAX,
} from "../wire/index.ts";
import { codecGainDb } from "./codec-gain.ts";
import { Moments } from "./moments.ts";
import { shrink } from "./shrinkage.ts";

/** Fewer patterns say nothing about any dimension. */
const TRAINING_SAMPLES_MIN = 16;
/** One in so many samples is kept from the training and judges what was learnt. */
const HELD_OUT_EVERY = 8;
/** The variance that rounding to the grid alone makes, in grid steps squared. */
const GRID_VARIANCE = 1 / 12;
/** Octaves of the standard deviation are half those of the variance; 32 marks each. */
const MARKS_PER_VARIANCE_OCTAVE = 16;

/** A model ready to be published, with what it is worth. */
export interface TrainedCodec {
  /** What to publish. */
  readonly bytes: Uint8Array;
  /** What every peer makes of the bytes. */
  readonly model: CodecModel;
  /** {@link codecGainDb} on samples that the training did not see. */
  readonly gainDb: number;
  /** The same of the model in use, on the same samples; null when there is none. */
  readonly currentGainDb: number | null;
}

/**
 * The model of `samples`, all of dimension `dim`. Its basis is as learnt: publish it with
 * `encodeModel`, and compute with `decodeModel` of that. Deterministic.
 *
 * Throws `SerializationError`: `model.dim` outside 8…1024, `model.version`, or `model.samples` for
 * fewer than 16. Fewer samples than dimensions are fine.
 */
export function trainModel(
  samples: readonly GridVector[],
  version: number,
  dim: number,
): CodecModel {
  requireTrainable(samples.length, version, dim);
  const moments = new Moments(dim);
  for (const sample of samples) moments.add(sample);
  return modelOf(moments, version);
}

/** {@link trainModel} on most of `samples` (so 19 at least), and the judgement of the others on it. */
export function trainCodec(
  samples: readonly GridVector[],
  version: number,
  dim: number,
  current: CodecModel | null,
): TrainedCodec {
  const isHeldOut = (_: GridVector, index: number) => index % HELD_OUT_EVERY === 0;
  const seen = samples.filter((sample, index) => !isHeldOut(sample, index));
  const bytes = encodeModel(trainModel(seen, version, dim));
  const model = decodeModel(bytes);
  const judges = samples.filter(isHeldOut);
  return {
    bytes,
    model,
    gainDb: codecGainDb(model, judges),
    currentGainDb: current === null ? null : codecGainDb(current, judges),
  };
}

/** How many of `count` samples {@link trainCodec} learns from; the others judge. */
export function trainedOn(count: number): number {
  return count - Math.ceil(count / HELD_OUT_EVERY);
}

/** Throws what {@link trainModel} would throw for so many samples. */
export function requireTrainable(count: number, version: number, dim: number): void {
  const refuse = (field: string, message: string, detail: Record<string, unknown>) => {
    throw new SerializationError(`model.${field}`, message, { detail });
  };
  if (!isWithin(dim, limits.DIMENSION_MIN, MODEL_DIMENSION_MAX)) {
    refuse(
      "dim",
      `models are learnt for ${limits.DIMENSION_MIN} to ${MODEL_DIMENSION_MAX} dimensions: got ${dim}`,
      { dim },
    );
  }
  if (!isWithin(version, 1, MODEL_VERSION_MAX)) {
    refuse("version", `must be 1 to ${MODEL_VERSION_MAX}: got ${version}`, { version });
  }
  if (count < TRAINING_SAMPLES_MIN) {
    refuse(
      "samples",
      `a model is learnt from ${TRAINING_SAMPLES_MIN} patterns or more: got ${count}`,
      {
        count,
      },
    );
  }
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** The model of everything that `moments` has seen: TRAINING_SAMPLES_MIN vectors or more. */
export function modelOf(moments: Moments, version: number): CodecModel {
  const { dim, count } = moments;
  requireTrainable(count, version, dim);
  const { variances, basis } = components(moments.covariance(), dim);
  const learnt: CodecModel = {
    version,
    dim,
    mean: new Int16Array(dim),
    spectrum: new Int16Array(dim),
    basis,
  };
  const held = decodeModel(encodeModel(learnt)).basis;
  return {
    ...learnt,
    mean: meanAlong(held, moments.mean(), dim),
    spectrum: spectrumAlong(held, basis, shrink(variances, count)),
  };
}

/** Principal components, the largest variance first; variances are at least what the grid makes. */
function components(covariance: Float64Array, dim: number) {
  const decomposition = new EigenvalueDecomposition(Matrix.from1DArray(dim, dim, covariance), {
    assumeSymmetric: true,
  });
  const rising = decomposition.realEigenvalues;
  const columns = decomposition.eigenvectorMatrix;
  const variances = new Float64Array(dim);
  const basis = new Float32Array(dim * dim);
  for (let row = 0; row < dim; row += 1) {
    const column = dim - 1 - row;
    variances[row] = Math.max(GRID_VARIANCE, rising[column] as number);
    let largest = 0;
    for (let at = 0; at < dim; at += 1) {
      const entry = columns.get(at, column);
      if (Math.abs(entry) > Math.abs(largest)) largest = entry;
    }
    // A component has no direction of its own: the largest entry is made positive.
    const sign = largest < 0 ? -1 : 1;
    for (let at = 0; at < dim; at += 1) basis[row * dim + at] = sign * columns.get(at, column);
  }
  return { variances, basis };
}

function meanAlong(basis: Float32Array, mean: Float64Array, dim: number): GridVector {
  const image = new Int16Array(dim);
  for (let row = 0; row < dim; row += 1) {
    const component = Math.round(product(basis, row * dim, mean, 0, dim));
    image[row] = Math.min(32767, Math.max(-32768, component));
  }
  return image;
}

/**
 * The spectrum along the published rows. Rounding turned each a little away from the learnt one, by
 * as much as it lost of its direction, and into no other in particular: there it meets the mean variance.
 */
function spectrumAlong(
  held: Float32Array,
  learnt: Float32Array,
  variances: Float64Array,
): Int16Array {
  const dim = variances.length;
  const meanVariance = variances.reduce((sum, variance) => sum + variance, 0) / dim;
  return Int16Array.from(variances, (variance, row) => {
    const kept = Math.min(1, product(held, row * dim, learnt, row * dim, dim) ** 2);
    const mixed = kept * variance + (1 - kept) * meanVariance;
    const level = Math.round(MARKS_PER_VARIANCE_OCTAVE * Math.log2(mixed));
    return Math.min(SPECTRUM_MAX, Math.max(0, level));
  });
}

function product(
  a: ArrayLike<number>,
  aFrom: number,
  b: ArrayLike<number>,
  bFrom: number,
  length: number,
): number {
  let sum = 0;
  for (let at = 0; at < length; at += 1) {
    sum += (a[aFrom + at] as number) * (b[bFrom + at] as number);
  }
  return sum;
}
