/**
 * The seeded rotation: a randomised Hadamard transform, which spreads whatever stands out in a
 * vector evenly over all coefficients. It serves where there is no codec model, and before the
 * unbiased quantiser, whose guarantee needs coefficients that look alike.
 *
 *   y = (P ⊗ S) · signs(seed) · x / √n,   n = m · 2^k
 *
 * S is the Sylvester matrix of order 2^k, P the first Paley matrix of order m (Paley, "On
 * orthogonal matrices", 1933): m = q + 1 for the primes q = 11 and 19, or [1]. So 384 = 12 · 32
 * needs no padding; other dimensions are padded with zeros to the next such n. Component i of x is
 * number i mod 2^k of block ⌊i / 2^k⌋: S works inside blocks, P across them.
 *
 * Sign i is minus when bit i mod 32 of word ⌊i / 32⌋ is set; word w is fmix32(seed + (w + 1) ·
 * 0x9E3779B9). Only + − × and one exact square root: bit-identical on every engine.
 * @module
 */
import { assert, limits } from "../../core/index.ts";
import { mixed } from "./seed.ts";

const GOLDEN = 0x9e3779b9;
const SIGNS_PER_WORD = 32;

interface Paley {
  readonly order: number;
  /** order × order, ±1, row by row. */
  readonly rows: Float64Array;
  readonly transposed: Float64Array;
}

const PALEYS: readonly Paley[] = [trivial(), paley(11), paley(19)];
const PALEY_ORDER_MAX = 20;
/** One number of each block while P works across them; no call leaves anything in it. */
const across = new Float64Array(PALEY_ORDER_MAX);

assert(
  PALEYS.every(({ order }) => order <= PALEY_ORDER_MAX),
  "every Paley matrix fits the scratch column",
);
assert(
  paddedLength(limits.DIMENSION_MAX) === limits.DIMENSION_MAX &&
    paddedLength(limits.DIMENSION_DEFAULT) === limits.DIMENSION_DEFAULT,
  "the largest and the usual dimension need no padding",
);

function trivial(): Paley {
  return { order: 1, rows: Float64Array.of(1), transposed: Float64Array.of(1) };
}

/**
 * Paley's first construction for a prime q ≡ 3 (mod 4): the identity plus a skew matrix with a row
 * of ones, a column of minus ones, and χ(column − row) inside, χ the quadratic character mod q.
 */
function paley(q: number): Paley {
  const order = q + 1;
  const rows = new Float64Array(order * order);
  const transposed = new Float64Array(order * order);
  const squares = new Set(Array.from({ length: q - 1 }, (_, root) => (root + 1) ** 2 % q));
  for (let row = 0; row < order; row += 1) {
    for (let column = 0; column < order; column += 1) {
      const inside = squares.has((column - row + q) % q) ? 1 : -1;
      const entry = row === column || row === 0 ? 1 : column === 0 ? -1 : inside;
      rows[row * order + column] = entry;
      transposed[column * order + row] = entry;
    }
  }
  return { order, rows, transposed };
}

/** The least n ≥ `dim` for which there is a rotation: 2^k, 12 · 2^k or 20 · 2^k. */
export function paddedLength(dim: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { order } of PALEYS) {
    let length = order;
    while (length < dim) length *= 2;
    least = Math.min(least, length);
  }
  return least;
}

/**
 * Rotates `values[at … at + length)` in place. `length` is a {@link paddedLength}; what the
 * vector does not fill must be zero.
 */
export function rotate(values: Float64Array, at: number, length: number, seed: number): void {
  const matrix = paleyOf(values, at, length);
  applySigns(values, at, length, seed);
  applySylvester(values, at, length, length / matrix.order);
  if (matrix.order === 1) applyScale(values, at, length);
  else applyPaley(values, at, length, matrix.order, matrix.rows);
}

/** Inverse of {@link rotate}, but for rounding of the last bits. */
export function rotateBack(values: Float64Array, at: number, length: number, seed: number): void {
  const matrix = paleyOf(values, at, length);
  applySylvester(values, at, length, length / matrix.order);
  if (matrix.order === 1) applyScale(values, at, length);
  else applyPaley(values, at, length, matrix.order, matrix.transposed);
  applySigns(values, at, length, seed);
}

function paleyOf(values: Float64Array, at: number, length: number): Paley {
  assert(at >= 0 && at + length <= values.length, "the vector lies inside the buffer");
  const matrix = PALEYS.find(({ order }) => isPowerOfTwo(length / order));
  assert(matrix !== undefined, "a rotation works on a padded length");
  return matrix;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && (value & (value - 1)) === 0;
}

function applySigns(values: Float64Array, at: number, length: number, seed: number): void {
  let counter = seed;
  let word = 0;
  for (let index = 0; index < length; index += 1) {
    if (index % SIGNS_PER_WORD === 0) {
      counter = (counter + GOLDEN) | 0;
      word = mixed(counter);
    }
    // No branch: half of them would be mispredicted.
    values[at + index] = (values[at + index] as number) * (1 - 2 * (word & 1));
    word >>>= 1;
  }
}

/**
 * The fast Walsh–Hadamard transform of each block of `block` = 2^k numbers, not yet scaled: two of
 * its k rounds in one pass, with the sums of two passes.
 */
function applySylvester(values: Float64Array, at: number, length: number, block: number): void {
  let half = 1;
  for (; 4 * half <= block; half *= 4) {
    for (let from = at; from < at + length; from += 4 * half) {
      for (let low = from; low < from + half; low += 1) {
        const a = values[low] as number;
        const b = values[low + half] as number;
        const c = values[low + 2 * half] as number;
        const d = values[low + 3 * half] as number;
        values[low] = a + b + (c + d);
        values[low + half] = a - b + (c - d);
        values[low + 2 * half] = a + b - (c + d);
        values[low + 3 * half] = a - b - (c - d);
      }
    }
  }
  if (half === block) return;
  for (let from = at; from < at + length; from += 2 * half) {
    for (let low = from; low < from + half; low += 1) {
      const a = values[low] as number;
      const b = values[low + half] as number;
      values[low] = a + b;
      values[low + half] = a - b;
    }
  }
}

/** P, whose order is a multiple of 4, across the blocks, and the factor 1 / √n of the whole rotation. */
function applyPaley(
  values: Float64Array,
  at: number,
  length: number,
  order: number,
  rows: Float64Array,
): void {
  const scale = 1 / Math.sqrt(length);
  const block = length / order;
  for (let offset = at; offset < at + block; offset += 1) {
    for (let row = 0; row < order; row += 1) {
      across[row] = values[offset + row * block] as number;
    }
    // Four rows at a time: a sum need not wait for the addition before it.
    for (let row = 0; row < order; row += 4) {
      const first = row * order;
      let sum0 = 0;
      let sum1 = 0;
      let sum2 = 0;
      let sum3 = 0;
      for (let column = 0; column < order; column += 1) {
        const value = across[column] as number;
        sum0 += (rows[first + column] as number) * value;
        sum1 += (rows[first + order + column] as number) * value;
        sum2 += (rows[first + 2 * order + column] as number) * value;
        sum3 += (rows[first + 3 * order + column] as number) * value;
      }
      const to = offset + row * block;
      values[to] = sum0 * scale;
      values[to + block] = sum1 * scale;
      values[to + 2 * block] = sum2 * scale;
      values[to + 3 * block] = sum3 * scale;
    }
  }
}

function applyScale(values: Float64Array, at: number, length: number): void {
  const scale = 1 / Math.sqrt(length);
  for (let index = at; index < at + length; index += 1) {
    values[index] = (values[index] as number) * scale;
  }
}
