/**
 * Reading tables: an entropy model laid out for the loop that reads (vector-reader.ts), one entry per
 * symbol and sign of a row, so that a symbol costs a few loads and no guess of the processor's.
 * @module
 */
import { perObject } from "../../core/index.ts";
import { type EntropyModel, ROW_STARTS, ROWS, SYMBOLS } from "./entropy.ts";
import { SHARE_BITS, SHARES } from "./rans.ts";
import { levelOf } from "./trellis.ts";

/**
 * A symbol's place is row · {@link ROW_PLACES} + 2 · symbol, and one more for minus. A 0 is at its
 * plus, and its minus owns nothing. Rows are those of the entropy model.
 */
export const ROW_PLACES = 2 * SYMBOLS;
/** One in so many slots of a row is looked up. */
export const FIRST_SHIFT = 7;
export const FIRSTS = SHARES >> FIRST_SHIFT;

export interface ReadingTables {
  /** `firsts[row * FIRSTS + (slot >> FIRST_SHIFT)]`: the place that owns the lowest such slot. */
  readonly firsts: Uint16Array;
  /** By place: the slot behind its last. */
  readonly ends: Uint16Array;
  /** By place: its first slot, and above {@link SHARE_BITS} its share. */
  readonly slots: Int32Array;
  /** By place: the level of its magnitude, in steps. */
  readonly levels: Uint8Array;
}

export const readingTablesOf = perObject(build);

function build({ starts }: EntropyModel): ReadingTables {
  const places = ROWS * ROW_PLACES;
  const firsts = new Uint16Array(ROWS * FIRSTS);
  const ends = new Uint16Array(places);
  const slots = new Int32Array(places);
  const levels = new Uint8Array(places);
  for (let row = 0; row < ROWS; row += 1) {
    for (let at = 0; at < ROW_PLACES; at += 1) {
      const place = row * ROW_PLACES + at;
      const symbol = at >> 1;
      const first = starts[row * ROW_STARTS + symbol] as number;
      const end = starts[row * ROW_STARTS + symbol + 1] as number;
      const middle = symbol === 0 ? end : (first + end) >> 1;
      const [from, to] = at & 1 ? [middle, end] : [first, middle];
      ends[place] = to;
      slots[place] = from | ((to - from) << SHARE_BITS);
      levels[place] = levelOf(row & 1, symbol);
      if (from === to) continue;
      firsts.fill(place, row * FIRSTS + Math.ceil(from / (1 << FIRST_SHIFT)), (row + 1) * FIRSTS);
    }
  }
  return { firsts, ends, slots, levels };
}
