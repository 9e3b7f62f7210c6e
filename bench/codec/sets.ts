/**
 * The sets that vectors are drawn from, each split three ways.
 *
 * `train` is all that a model or a codebook may see, `test` is what every figure
 * is measured on, `query` asks the questions of recall@10. All vectors have unit
 * length, as the embeddings of the product do.
 *
 * The synthetic model follows the spectrum of 384-d MiniLM embeddings of movies:
 * a mean vector of energy 0.155, eigenvalues λᵢ ∝ (i+4)^-0.69 · exp(−(i/220)^2.43),
 * 64 cluster centres that carry 30 % of the variance, a random orthogonal basis.
 * @module
 */
import { type Random, seededRandom } from "../../src/core/index.ts";
import { gaussianFrom, normaliseRows } from "./gaussian.ts";

export interface VectorSet {
  readonly name: string;
  readonly dim: number;
  /** Whether the source is known to be white, so that its rate–distortion function is 2^(−2R). */
  readonly white: boolean;
  readonly train: Float32Array;
  readonly test: Float32Array;
  readonly query: Float32Array;
}

export interface SetSizes {
  readonly train: number;
  readonly test: number;
  readonly query: number;
}

const SYNTHETIC_DIM = 384;
const MEAN_ENERGY = 0.155;
const CLUSTERS = 64;
const CLUSTER_SHARE = 0.3;

/** Normalised vectors of independent N(0, 1) components. */
export function iidSet(sizes: SetSizes, seed: number, dim = SYNTHETIC_DIM): VectorSet {
  const gaussian = gaussianFrom(seededRandom(seed));
  const draw = (count: number): Float32Array => {
    const vectors = new Float32Array(count * dim);
    for (let at = 0; at < vectors.length; at += 1) vectors[at] = gaussian();
    normaliseRows(vectors, dim);
    return vectors;
  };
  return { name: "iid", dim, white: true, ...drawn(sizes, draw) };
}

/** The clustered, coloured model described above. */
export function syntheticSet(sizes: SetSizes, seed: number): VectorSet {
  const dim = SYNTHETIC_DIM;
  const random = seededRandom(seed);
  const gaussian = gaussianFrom(random);
  const basis = randomOrthogonal(dim, random);
  const deviations = syntheticSpectrum().map(Math.sqrt);
  const mean = coloured(basis, unitVector(dim, gaussian), Math.sqrt(MEAN_ENERGY));
  const centres = Array.from({ length: CLUSTERS }, () =>
    Float64Array.from({ length: dim }, () => gaussian() * Math.sqrt(CLUSTER_SHARE)),
  );
  const inside = Math.sqrt(1 - CLUSTER_SHARE);
  const draw = (count: number): Float32Array => {
    const vectors = new Float32Array(count * dim);
    for (let row = 0; row < count; row += 1) {
      const centre = centres[Math.floor(random.next() * CLUSTERS)] as Float64Array;
      const coefficients = deviations.map(
        (deviation, i) => deviation * ((centre[i] as number) + inside * gaussian()),
      );
      const vector = coloured(basis, coefficients, 1);
      for (let j = 0; j < dim; j += 1) {
        vectors[row * dim + j] = (vector[j] as number) + (mean[j] as number);
      }
    }
    normaliseRows(vectors, dim);
    return vectors;
  };
  return { name: "synthetic", dim, white: false, ...drawn(sizes, draw) };
}

/** The eigenvalues of the synthetic model; with the mean's energy they sum to 1. */
export function syntheticSpectrum(): Float64Array {
  const spectrum = Float64Array.from(
    { length: SYNTHETIC_DIM },
    (_, i) => (i + 4) ** -0.69 * Math.exp(-((i / 220) ** 2.43)),
  );
  const sum = spectrum.reduce((total, value) => total + value, 0);
  return spectrum.map((value) => (value * (1 - MEAN_ENERGY)) / sum);
}

/** A uniformly random orthogonal matrix: Gram–Schmidt on Gaussian rows, each reduced twice. */
function randomOrthogonal(dim: number, random: Random): Float64Array {
  const gaussian = gaussianFrom(random);
  const rows = new Float64Array(dim * dim);
  for (let i = 0; i < dim; i += 1) {
    const row = rows.subarray(i * dim, (i + 1) * dim);
    for (let j = 0; j < dim; j += 1) row[j] = gaussian();
    for (let pass = 0; pass < 2; pass += 1) {
      for (let k = 0; k < i; k += 1) {
        const other = rows.subarray(k * dim, (k + 1) * dim);
        let dot = 0;
        for (let j = 0; j < dim; j += 1) dot += (row[j] as number) * (other[j] as number);
        for (let j = 0; j < dim; j += 1) row[j] = (row[j] as number) - dot * (other[j] as number);
      }
    }
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    for (let j = 0; j < dim; j += 1) row[j] = (row[j] as number) / norm;
  }
  return rows;
}

function drawn(
  sizes: SetSizes,
  draw: (count: number) => Float32Array,
): Pick<VectorSet, "train" | "test" | "query"> {
  return { train: draw(sizes.train), test: draw(sizes.test), query: draw(sizes.query) };
}

function unitVector(dim: number, gaussian: () => number): Float64Array {
  const vector = Float64Array.from({ length: dim }, gaussian);
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / norm);
}

/** `factor` · Σᵢ coefficientᵢ · rowᵢ. */
function coloured(basis: Float64Array, coefficients: Float64Array, factor: number): Float64Array {
  const dim = coefficients.length;
  const vector = new Float64Array(dim);
  for (let i = 0; i < dim; i += 1) {
    const coefficient = factor * (coefficients[i] as number);
    for (let j = 0; j < dim; j += 1) {
      vector[j] = (vector[j] as number) + coefficient * (basis[i * dim + j] as number);
    }
  }
  return vector;
}
