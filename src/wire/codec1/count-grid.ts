/**
 * The grid of released weights and device counts: four significant binary digits.
 *
 *   level   0…15    16…23              24…31              …   360…367
 *   value   itself  16, 18, 20, … 30   32, 36, 40, … 60   …   8·2^44 … 15·2^44
 *
 * A device ranks and scales by these numbers; none of that needs their fifth
 * digit. Rounded, a count costs some 6 bits instead of up to 48, and it
 * changes only when it has moved by about a sixteenth, so most patterns of a
 * release keep the bits they had. Small floating-point numbers have the same
 * shape (three bits of mantissa after the leading one).
 * @module
 */
import { assert } from "../../core/index.ts";
import { RELEASE_COUNT_MAX } from "../release.ts";
import { bitLength } from "./bits.ts";

const DIGITS = 4;
const EXACT_BELOW = 2 ** DIGITS;
const PER_OCTAVE = EXACT_BELOW / 2;

/** The level of 15·2^44, the largest value on the grid. */
export const COUNT_LEVEL_MAX = levelOf(RELEASE_COUNT_MAX);

assert(countAt(COUNT_LEVEL_MAX) <= RELEASE_COUNT_MAX, "the grid ends within the range of counts");

/**
 * The nearest value on the grid, the larger of two as near; for 0 ≤ count < 2^48. Exact to 16, then
 * within 1/17 of the count (5.9 %; 6.25 % for those beyond the last value of the grid).
 */
export function roundCount(count: number): number {
  if (count < EXACT_BELOW) return Math.round(count);
  const step = 2 ** (bitLength(Math.floor(count)) - DIGITS);
  const rounded = Math.floor(count / step + 0.5) * step;
  return Math.min(rounded, countAt(COUNT_LEVEL_MAX));
}

/** The level of a value on the grid; of another, that of the next one below. */
export function levelOf(count: number): number {
  if (count < EXACT_BELOW) return count;
  const shift = bitLength(count) - DIGITS;
  return shift * PER_OCTAVE + Math.floor(count / 2 ** shift);
}

/** Inverse of {@link levelOf}, 0…{@link COUNT_LEVEL_MAX}. */
export function countAt(level: number): number {
  if (level < EXACT_BELOW) return level;
  const shift = Math.floor(level / PER_OCTAVE) - 1;
  return (level - shift * PER_OCTAVE) * 2 ** shift;
}
