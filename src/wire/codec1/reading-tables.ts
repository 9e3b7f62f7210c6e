/**
 * Reading tables: an entropy model laid out for the loop that reads (vector-reader.ts), one entry per
 * symbol of a row, so that a symbol costs a few loads and no guess of the processor's.
 * @module
 */
import { perObject } from "../../core/index.ts";
import { type EntropyModel, ROW_SHIFTS, ROW_STARTS, ROWS, SHIFT_UNIT, SYMBOLS } from "./entropy.ts";
import { SHARE_BITS, SHARES } from "./rans.ts";
import { levelOf } from "./trellis.ts";

/** Entries of a row. Even, so that the lowest bit of a place is the parity of its magnitude. */
export const ROW_PLACES = SYMBOLS;
/** One in so many slots of a row is looked up: the first symbol that may own it. */
export const FIRST_SHIFT = 7;
export const FIRSTS = SHARES >> FIRST_SHIFT;

/** The place of a symbol is row · {@link ROW_PLACES} + symbol; rows are those of the entropy model. */
export interface ReadingTables {
  /** `firsts[row * FIRSTS + (slot >> FIRST_SHIFT)]`: the symbol that owns the lowest such slot. */
  readonly firsts: Uint8Array;
  /** By place: the slot behind its last. */
  readonly ends: Uint16Array;
  /** By place: its first slot, and above {@link SHARE_BITS} its share, halved when it has two signs. */
  readonly slots: Int32Array;
  /** By place: the level of its magnitude, in steps. */
  readonly levels: Uint8Array;
  /** By place: what it stands for without its sign, in steps by {@link SHIFT_UNIT}. */
  readonly values: Int32Array;
}

export const readingTablesOf = perObject(build);

function build({ starts, shifts }: EntropyModel): ReadingTables {
  const places = ROWS * ROW_PLACES;
  const firsts = new Uint8Array(ROWS * FIRSTS);
  const ends = new Uint16Array(places);
  const slots = new Int32Array(places);
  const levels = new Uint8Array(places);
  const values = new Int32Array(places);
  for (let row = 0; row < ROWS; row += 1) {
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      const place = row * ROW_PLACES + symbol;
      const start = starts[row * ROW_STARTS + symbol] as number;
      const end = starts[row * ROW_STARTS + symbol + 1] as number;
      const share = (end - start) >> Math.min(symbol, 1);
      const shift = shifts[row * ROW_SHIFTS + Math.min(symbol, ROW_SHIFTS - 1)] as number;
      const level = levelOf(row & 1, symbol);
      ends[place] = end;
      slots[place] = start | (share << SHARE_BITS);
      levels[place] = level;
      values[place] = level * SHIFT_UNIT - shift;
      firsts.fill(symbol, row * FIRSTS + Math.ceil(start / (1 << FIRST_SHIFT)), (row + 1) * FIRSTS);
    }
  }
  return { firsts, ends, slots, levels, values };
}
