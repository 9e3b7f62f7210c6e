/**
 * The rate–distortion limit: the least error that any code of a given rate can leave.
 *
 * For independent Gaussian components of variances vᵢ it is reverse water-filling
 * (Cover and Thomas, Elements of Information Theory, 10.3.3): components above
 * the water level θ are coded to error θ, those below get nothing,
 *
 *   D(θ) = Σ min(vᵢ, θ)        R(θ) = Σ max(0, ½·log₂(vᵢ / θ)).
 *
 * A Gaussian is the hardest source of its variances, so real data may in
 * principle go below; a white one has the closed form D = 2^(−2R).
 * @module
 */

const BISECTIONS = 100;

/** The least Σ error at `bits` per vector for Gaussian components of these variances. */
export function waterFilling(variances: Float64Array, bits: number): number {
  const largest = variances.reduce((a, b) => Math.max(a, b), 0);
  if (largest === 0) return 0;
  // In log₂ of the level: at −2·bits below the largest variance that one alone costs all bits.
  let low = Math.log2(largest) - 2 * bits;
  let high = Math.log2(largest);
  for (let round = 0; round < BISECTIONS; round += 1) {
    const middle = (low + high) / 2;
    if (rateAt(variances, middle) > bits) low = middle;
    else high = middle;
  }
  const level = 2 ** high;
  return variances.reduce((sum, variance) => sum + Math.min(variance, level), 0);
}

function rateAt(variances: Float64Array, levelLog: number): number {
  let rate = 0;
  for (const variance of variances) {
    if (variance > 0) rate += Math.max(0, (Math.log2(variance) - levelLog) / 2);
  }
  return rate;
}

/** Error of a white Gaussian source relative to its variance, at `bits` per component. */
export function whiteLimit(bits: number): number {
  return 2 ** (-2 * bits);
}

/** What a limit is computed from, for one set. */
export interface Limit {
  /** Mean square about the train mean, per vector. */
  readonly energy: number;
  /** The least error relative to `energy` at `bits` per vector. */
  readonly nmseAt: (bits: number) => number;
}

/** The limit of a source with these component variances; `white` takes the closed form. */
export function limitOf(variances: Float64Array, white: boolean): Limit {
  const energy = variances.reduce((sum, variance) => sum + variance, 0);
  const nmseAt = white
    ? (bits: number) => whiteLimit(bits / variances.length)
    : (bits: number) => waterFilling(variances, bits) / energy;
  return { energy, nmseAt };
}

/** How far `nmse` lies above `limit`, in decibels; null when there is no error to compare. */
export function gapDb(nmse: number, limit: number): number | null {
  return nmse > 0 && limit > 0 ? 10 * Math.log10(nmse / limit) : null;
}
