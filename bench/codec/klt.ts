/**
 * Mean, covariance and its eigenvectors: the transform a coder could know from the train split,
 * and the ruler that the rate–distortion limit of the test split is measured with.
 *
 * Eigenvectors come from the one-sided Jacobi method (Hestenes 1958): rotate pairs
 * of rows of a symmetric matrix A until all rows are orthogonal. The rows are then
 * D·Vᵀ: their lengths are the eigenvalues, their directions the eigenvectors.
 * @module
 */

export interface Klt {
  readonly dim: number;
  readonly mean: Float64Array;
  /** dim × dim, row i is component i, orthonormal, by falling variance. */
  readonly basis: Float64Array;
  /** Variance of each component on the train split. */
  readonly variances: Float64Array;
}

const SWEEPS_MAX = 30;
/** Cosine of two rows below which they count as orthogonal. */
const TOLERANCE = 1e-9;
/** Keeps directions that the train split never moves in from having length 0. */
const RIDGE = 1e-6;

/** Learns mean and basis from `vectors` (rows of `dim`). */
export function learnKlt(vectors: Float32Array, dim: number): Klt {
  const mean = meanOf(vectors, dim);
  const rows = covarianceOf(vectors, mean);
  let trace = 0;
  for (let i = 0; i < dim; i += 1) trace += rows[i * dim + i] as number;
  const ridge = (RIDGE * trace) / dim;
  for (let i = 0; i < dim; i += 1) rows[i * dim + i] = (rows[i * dim + i] as number) + ridge;
  orthogonaliseRows(rows, dim);
  const { basis, lengths } = sortedRows(rows, dim);
  return { dim, mean, basis, variances: lengths.map((length) => Math.max(0, length - ridge)) };
}

export function meanOf(vectors: Float32Array, dim: number): Float64Array {
  const mean = new Float64Array(dim);
  const count = vectors.length / dim;
  for (let at = 0; at < vectors.length; at += 1) {
    mean[at % dim] = (mean[at % dim] as number) + (vectors[at] as number) / count;
  }
  return mean;
}

/** Mean square of each component of `vectors` about the train mean, in the trained basis. */
export function variancesIn(klt: Klt, vectors: Float32Array): Float64Array {
  const { dim, mean, basis } = klt;
  const count = vectors.length / dim;
  const variances = new Float64Array(dim);
  const centred = new Float64Array(dim);
  for (let row = 0; row < count; row += 1) {
    for (let j = 0; j < dim; j += 1) {
      centred[j] = (vectors[row * dim + j] as number) - (mean[j] as number);
    }
    for (let i = 0; i < dim; i += 1) {
      let dot = 0;
      for (let j = 0; j < dim; j += 1)
        dot += (basis[i * dim + j] as number) * (centred[j] as number);
      variances[i] = (variances[i] as number) + (dot * dot) / count;
    }
  }
  return variances;
}

function covarianceOf(vectors: Float32Array, mean: Float64Array): Float64Array {
  const dim = mean.length;
  const count = vectors.length / dim;
  const sums = new Float64Array(dim * dim);
  const centred = new Float64Array(dim);
  for (let row = 0; row < count; row += 1) {
    for (let j = 0; j < dim; j += 1) {
      centred[j] = (vectors[row * dim + j] as number) - (mean[j] as number);
    }
    for (let i = 0; i < dim; i += 1) {
      const factor = (centred[i] as number) / count;
      const start = i * dim;
      for (let j = i; j < dim; j += 1) {
        sums[start + j] = (sums[start + j] as number) + factor * (centred[j] as number);
      }
    }
  }
  for (let i = 0; i < dim; i += 1) {
    for (let j = 0; j < i; j += 1) sums[i * dim + j] = sums[j * dim + i] as number;
  }
  return sums;
}

function orthogonaliseRows(rows: Float64Array, dim: number): void {
  for (let sweep = 0; sweep < SWEEPS_MAX; sweep += 1) {
    let rotations = 0;
    for (let p = 0; p < dim - 1; p += 1) {
      for (let q = p + 1; q < dim; q += 1)
        if (rotatePair(rows, p * dim, q * dim, dim)) rotations += 1;
    }
    if (rotations === 0) return;
  }
}

/** Makes the rows that begin at `p` and `q` orthogonal; false when they were. */
function rotatePair(rows: Float64Array, p: number, q: number, dim: number): boolean {
  let pp = 0;
  let qq = 0;
  let pq = 0;
  for (let j = 0; j < dim; j += 1) {
    const x = rows[p + j] as number;
    const y = rows[q + j] as number;
    pp += x * x;
    qq += y * y;
    pq += x * y;
  }
  if (Math.abs(pq) <= TOLERANCE * Math.sqrt(pp * qq)) return false;
  const zeta = (qq - pp) / (2 * pq);
  const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cosine = 1 / Math.sqrt(1 + tangent * tangent);
  const sine = cosine * tangent;
  for (let j = 0; j < dim; j += 1) {
    const x = rows[p + j] as number;
    const y = rows[q + j] as number;
    rows[p + j] = cosine * x - sine * y;
    rows[q + j] = sine * x + cosine * y;
  }
  return true;
}

function sortedRows(
  rows: Float64Array,
  dim: number,
): { basis: Float64Array; lengths: Float64Array } {
  const lengthOf = (row: number) =>
    Math.sqrt(rows.subarray(row * dim, (row + 1) * dim).reduce((sum, x) => sum + x * x, 0));
  const order = Array.from({ length: dim }, (_, row) => ({ row, length: lengthOf(row) }));
  order.sort((a, b) => b.length - a.length);
  const basis = new Float64Array(dim * dim);
  for (const [index, { row, length }] of order.entries()) {
    for (let j = 0; j < dim; j += 1) {
      basis[index * dim + j] = (rows[row * dim + j] as number) / length;
    }
  }
  return { basis, lengths: Float64Array.from(order, ({ length }) => length) };
}
