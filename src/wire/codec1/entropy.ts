/**
 * The entropy model: how likely each magnitude is, and which value it stands for.
 *
 * A coefficient's **class** is the ratio of its standard deviation to the step, in 1/8 octaves:
 * integers in, integers out. A **row** is a class under one of the two quantisers, 2 · class + q. It
 * gives each magnitude 0…14 and the escape (15 and more) a share of 2^15. The share of a nonzero
 * magnitude is even, and its lower half means plus: a sign costs its one bit and no step of its own.
 * The mean of what falls into a cell lies beside its level; the **shift** says by how much it is
 * nearer to zero (or, negative, farther), in 1/256 steps, for magnitudes 1, 2 and ≥ 3.
 *
 * The numbers in the tables are learnt (scripts/train-entropy-tables.mjs) and never change: they are
 * part of the codec. A decoder needs nothing here but integers.
 * @module
 */
import { assert } from "../../core/index.ts";
import { PACKED_TABLES } from "./entropy-tables.ts";
import { SHARE_BITS, SHARES } from "./rans.ts";
import type { StateCount } from "./trellis.ts";

/** Symbols of a row: magnitudes 0…14 and the escape. */
export const SYMBOLS = 16;
export const ESCAPE = SYMBOLS - 1;
/** The width of a class and the ratio in the middle of class 0, in 1/32 octaves. */
export const CLASS_WIDTH = 4;
export const CLASS_LOWEST = -32;
export const CLASSES = 49;
export const ROWS = 2 * CLASSES;
/** Starts of one row: one per symbol, and the end. */
export const ROW_STARTS = SYMBOLS + 1;
/** Shifts of one row: magnitudes 0 (unused), 1, 2, ≥ 3. */
export const ROW_SHIFTS = 4;
export const SHIFT_UNIT = 256;
/** Of rates and mean levels. */
export const RATE_UNIT = 1024;
/** The largest magnitude: an index is an int16. */
export const MAGNITUDE_MAX = 32767;
/** Bits of the length that an escape begins with. */
export const ESCAPE_LENGTH_BITS = 4;

export interface EntropyModel {
  /** `starts[row * ROW_STARTS + symbol]`. */
  readonly starts: Uint16Array;
  /** `shifts[row * ROW_SHIFTS + min(magnitude, 3)]`. */
  readonly shifts: Int16Array;
  /** The mean level of each class in 1/1024, where a level counts for at most 30; never falling. */
  readonly means: Uint16Array;
  /** `bits[row * SYMBOLS + symbol]`, the sign included: for the encoder alone. */
  readonly bits: Float64Array;
  /** The bits that a coefficient of a class takes on average, in 1/1024: for the encoder alone. */
  readonly rates: Uint16Array;
}

/** From the shares of every row, one after the other, the shifts, the mean levels and the rates. @public */
export function entropyModel(
  shares: ArrayLike<number>,
  shifts: Int16Array,
  means: Uint16Array,
  rates: Uint16Array,
): EntropyModel {
  const starts = new Uint16Array(ROWS * ROW_STARTS);
  const bits = new Float64Array(ROWS * SYMBOLS);
  for (let row = 0; row < ROWS; row += 1) {
    let start = 0;
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      const share = shares[row * SYMBOLS + symbol] as number;
      assert(share > 0 && (symbol === 0 || share % 2 === 0), "every symbol has a share to halve");
      bits[row * SYMBOLS + symbol] = SHARE_BITS - Math.log2(share) + (symbol === 0 ? 0 : 1);
      start += share;
      starts[row * ROW_STARTS + symbol + 1] = start;
    }
    assert(start === SHARES, "the shares of a row add up");
  }
  return { starts, shifts, means, bits, rates };
}

/** The row of a coefficient under quantiser 0: twice its class. Both in 1/32 octaves of grid steps. */
export function rowOf(spectrum: number, step: number): number {
  const place = (spectrum - step - CLASS_LOWEST + (CLASS_WIDTH >> 1)) >> 2;
  return 2 * Math.min(CLASSES - 1, Math.max(0, place));
}

/** Bits of a magnitude ≥ 15 after its escape symbol: a length, then the digits below the first. */
export function escapeBits(magnitude: number): number {
  return ESCAPE_LENGTH_BITS + digitsOf(magnitude - ESCAPE + 1) - 1;
}

/** The binary digits of a number ≥ 1. */
export function digitsOf(number: number): number {
  return 32 - Math.clz32(number);
}

const models = new Map<StateCount, EntropyModel>();

/** The tables that belong to a trellis. */
export function entropyModelOf(states: StateCount): EntropyModel {
  let model = models.get(states);
  if (model === undefined) {
    model = unpack(PACKED_TABLES[states]);
    models.set(states, model);
  }
  return model;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Class by class its mean level, less that of the class before, then in the same way its rate; then
 * row by row the shares of magnitudes 1…15, halved, and the shifts of 1, 2 and ≥ 3, zigzagged.
 * Each number is one or more characters of five bits, the low ones first; 32 says "more follow".
 */
function unpack(packed: string): EntropyModel {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 5) {
      const digit = BASE64.indexOf(packed.charAt(at));
      at += 1;
      value |= (digit & 31) << shift;
      if (digit < 32) return value;
    }
  };
  const rising = (): Uint16Array => {
    let sum = 0;
    return new Uint16Array(CLASSES).map(() => {
      sum += next();
      return sum;
    });
  };
  const means = rising();
  const rates = rising();
  const shares = new Uint16Array(ROWS * SYMBOLS);
  const shifts = new Int16Array(ROWS * ROW_SHIFTS);
  for (let row = 0; row < ROWS; row += 1) {
    let rest = SHARES;
    for (let symbol = 1; symbol < SYMBOLS; symbol += 1) {
      const share = 2 * next();
      shares[row * SYMBOLS + symbol] = share;
      rest -= share;
    }
    shares[row * SYMBOLS] = rest;
    for (let place = 1; place < ROW_SHIFTS; place += 1) {
      const zigzag = next();
      shifts[row * ROW_SHIFTS + place] = zigzag & 1 ? -((zigzag + 1) >> 1) : zigzag >> 1;
    }
  }
  assert(at === packed.length, "the tables are read to their end");
  return entropyModel(shares, shifts, means, rates);
}
