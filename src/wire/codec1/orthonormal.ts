/**
 * Gram–Schmidt: from rows that are nearly orthogonal to an orthonormal basis.
 *
 * From the first row to the last, each loses its shares in the rows above it and gets length 1.
 * The classical form does well here: its error grows with the square of the condition number
 * (Giraud, Langou, Rozložník, "The loss of orthogonality in the Gram–Schmidt orthogonalization
 * process", 2005), and that is 1.03 for a basis rounded to eight bits: what is left is below
 * 1e-14. A Newton–Schulz step towards the polar factor costs twice as much and leaves 3e-4.
 *
 * Only + − × / and square roots of float64, in a fixed order: bit-identical on every engine.
 * @module
 */
import { assert } from "../../core/index.ts";

/**
 * What must remain of a row, as a share of its squared length. Honest rows keep more than 0.98;
 * and with this each row keeps a direction of its own, whatever the peer sent.
 */
const REMAINDER_MIN = 0.9;
/** Multiplications between two pauses: 1 ms on a server, below 20 ms on a slow TV. */
const SLICE_PRODUCTS = 2_000_000;

/**
 * Makes the `dim` rows of `rows` orthonormal in place, pausing (a `yield`) between slices of the
 * work. Returns false, with `rows` half done, when they are not nearly orthogonal.
 */
export function* orthonormalise(rows: Float64Array, dim: number): Generator<void, boolean> {
  assert(rows.length === dim * dim, "the basis is square");
  const shares = new Float64Array(dim);
  let products = 0;
  for (let row = 0; row < dim; row += 1) {
    const before = squaredLength(rows, row * dim, dim);
    if (before === 0) return false;
    measureShares(rows, row, dim, shares);
    removeShares(rows, row, dim, shares);
    const after = squaredLength(rows, row * dim, dim);
    if (after < before * REMAINDER_MIN) return false;
    scaleRow(rows, row * dim, dim, 1 / Math.sqrt(after));
    products += 2 * row * dim;
    if (products >= SLICE_PRODUCTS) {
      products = 0;
      yield;
    }
  }
  return true;
}

function squaredLength(rows: Float64Array, from: number, dim: number): number {
  let sum = 0;
  for (let at = from; at < from + dim; at += 1) {
    // Not a power: engines differ in the last bit of that.
    sum += (rows[at] as number) * (rows[at] as number);
  }
  return sum;
}

function scaleRow(rows: Float64Array, from: number, dim: number, factor: number): void {
  for (let at = from; at < from + dim; at += 1) rows[at] = (rows[at] as number) * factor;
}

/** `shares[i]` = row i · this row, for the rows above it; four at a time, as memory is what costs. */
function measureShares(rows: Float64Array, row: number, dim: number, shares: Float64Array): void {
  const self = row * dim;
  for (let above = 0; above < row; above += 4) {
    // Past the last row above, the same one is measured again: no second loop for the remainder.
    const a = above * dim;
    const b = Math.min(above + 1, row - 1) * dim;
    const c = Math.min(above + 2, row - 1) * dim;
    const d = Math.min(above + 3, row - 1) * dim;
    let shareA = 0;
    let shareB = 0;
    let shareC = 0;
    let shareD = 0;
    for (let at = 0; at < dim; at += 1) {
      const value = rows[self + at] as number;
      shareA += value * (rows[a + at] as number);
      shareB += value * (rows[b + at] as number);
      shareC += value * (rows[c + at] as number);
      shareD += value * (rows[d + at] as number);
    }
    shares[above] = shareA;
    shares[b / dim] = shareB;
    shares[c / dim] = shareC;
    shares[d / dim] = shareD;
  }
}

/** This row minus `shares[i]` · row i, for the rows above it. */
function removeShares(rows: Float64Array, row: number, dim: number, shares: Float64Array): void {
  const self = row * dim;
  for (let above = 0; above < row; above += 4) {
    const a = above * dim;
    // Shares past the last row above are 0, and so is what they remove.
    const b = Math.min(above + 1, row - 1) * dim;
    const c = Math.min(above + 2, row - 1) * dim;
    const d = Math.min(above + 3, row - 1) * dim;
    const shareA = shares[above] as number;
    const shareB = above + 1 < row ? (shares[above + 1] as number) : 0;
    const shareC = above + 2 < row ? (shares[above + 2] as number) : 0;
    const shareD = above + 3 < row ? (shares[above + 3] as number) : 0;
    for (let at = 0; at < dim; at += 1) {
      rows[self + at] =
        (rows[self + at] as number) -
        (shareA * (rows[a + at] as number) +
          shareB * (rows[b + at] as number) +
          shareC * (rows[c + at] as number) +
          shareD * (rows[d + at] as number));
    }
  }
}
