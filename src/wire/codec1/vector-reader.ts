/**
 * Reading the indices of one vector, as what they are wanted for.
 *
 * This is where a server spends its time on a delta, thousands of symbols a frame; so it is one
 * loop over local variables and ready tables (reading-tables.ts), and free of branches wherever a
 * guess would often be wrong: which of a symbol's signs, how many bytes the state needs, whether the
 * magnitude is 0. Nothing is called in it: behind a call the engine trusts no array any more. What it
 * computes is what rans.ts, contexts.ts and block.ts say.
 * @module
 */
import { ProtocolError } from "../../core/index.ts";
import type { Residual } from "../grid.ts";
import { type Contexts, MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import { ESCAPE, ESCAPE_LENGTH_BITS, MAGNITUDE_MAX } from "./entropy.ts";
import type { Meaning } from "./meanings.ts";
import type { Block } from "./plan.ts";
import { endsEarly, type RansDecoder, SHARE_BITS, SHARES } from "./rans.ts";
import {
  FIRST_SHIFT,
  FIRSTS,
  type ReadingTables,
  ROW_PLACES,
  readingTablesOf,
} from "./reading-tables.ts";
import { levelOf } from "./trellis.ts";

// The engine takes a module's own constants as such, but looks up what is imported each time.
const SLOT_BITS = SHARE_BITS;
const SLOT_MASK = SHARES - 1;
const SLOT_SHIFT = FIRST_SHIFT;
const ROW_FIRSTS = FIRSTS;
const SYMBOL_MASK = ROW_PLACES - 1;
const SYMBOL_ESCAPE = 2 * ESCAPE;

/** How far a vector is read. */
interface Progress {
  at: number;
  path: number;
  mean: number;
  /** Of the symbol at `at`, when it is an escape: its magnitude follows in the stream. */
  place: number;
  /** Not 0 once a number did not fit an int16. */
  beyond: number;
}

/**
 * Reads one vector with the rows of `contexts` into `numbers`: what each index means and what is
 * `known` of it already, added up. Returns whether every sum fits an int16. Throws
 * `ProtocolError("codec.truncated" | "codec.escape")`.
 */
export function readVector(
  decoder: RansDecoder,
  { trellis, model }: Block,
  contexts: Contexts,
  meaning: Meaning,
  known: Int16Array,
  numbers: Residual,
): boolean {
  const tables = readingTablesOf(model);
  const { next } = trellis;
  const { byPlace } = meaning;
  const vector: Progress = { at: 0, path: 0, mean: MEAN_FIRST, place: 0, beyond: 0 };
  while (readToEscape(decoder, tables, next, contexts, byPlace, known, numbers, vector)) {
    const { at, path, mean, place } = vector;
    const magnitude = takeEscape(decoder);
    const number = meaning.ofEscape(place, magnitude) + (known[at] as number);
    numbers[at] = number;
    vector.beyond |= beyondInt16(number);
    vector.mean = meanAfter(contexts, at, mean, levelOf(path & 1, magnitude));
    vector.path = next[2 * path + (magnitude & 1)] as number;
    vector.at = at + 1;
  }
  return vector.beyond === 0;
}

/** 0 when an int32 fits an int16. */
function beyondInt16(number: number): number {
  return number ^ ((number << 16) >> 16);
}

/** Reads on to the end of `vector`, or to the next escape: then it returns true. */
function readToEscape(
  decoder: RansDecoder,
  { firsts, ends, slots, levels }: ReadingTables,
  next: Uint8Array,
  contexts: Contexts,
  byPlace: Int32Array,
  known: Int16Array,
  numbers: Residual,
  vector: Progress,
): boolean {
  const { bytes, end } = decoder;
  const { ceilings } = contexts;
  const follows = contexts.follows === true;
  const count = ceilings.length;
  let { state, at: byteAt } = decoder;
  let { at, path, mean, place, beyond } = vector;
  for (; at < count; at += 1) {
    const row = (follows ? rowAt(contexts, at, mean) : (ceilings[at] as number)) + (path & 1);
    const slot = state & SLOT_MASK;
    place = firsts[row * ROW_FIRSTS + (slot >> SLOT_SHIFT)] as number;
    while (slot >= (ends[place] as number)) place += 1;
    const owned = slots[place] as number;
    state = Math.imul(owned >> SLOT_BITS, state >> SLOT_BITS) + slot - (owned & SLOT_MASK);
    // A state from 2^23 on needs no byte, one from 2^15 on needs one, any other two.
    const needed = (Math.clz32(state) - 1) & 24;
    const following = ((bytes[byteAt] as number) << 8) | (bytes[byteAt + 1] as number);
    state = (state << needed) | (following >> (16 - needed));
    byteAt += needed >> 3;
    if ((place & SYMBOL_MASK) >= SYMBOL_ESCAPE || byteAt > end) break;
    const number = (byPlace[place] as number) + (known[at] as number);
    numbers[at] = number;
    beyond |= beyondInt16(number);
    if (follows) mean = meanAfter(contexts, at, mean, levels[place] as number);
    path = next[2 * path + ((place >> 1) & 1)] as number;
  }
  if (byteAt > end) throw endsEarly();
  decoder.state = state;
  decoder.at = byteAt;
  vector.at = at;
  vector.path = path;
  vector.mean = mean;
  vector.place = place;
  vector.beyond = beyond;
  return at < count;
}

function takeEscape(decoder: RansDecoder): number {
  const digits = decoder.bits(ESCAPE_LENGTH_BITS);
  if (digits === 0) throw new ProtocolError("codec.escape", "an escape without digits");
  const magnitude = ESCAPE - 1 + (1 << (digits - 1)) + decoder.bits(digits - 1);
  if (magnitude <= MAGNITUDE_MAX) return magnitude;
  throw new ProtocolError("codec.escape", `an index is at most 32767: got ${magnitude}`);
}
