/**
 * Reading the indices of one vector, and what they stand for.
 *
 * This is where a server spends its time on a delta, thousands of symbols a frame; so it is one
 * loop over local variables and ready tables (reading-tables.ts), and free of branches wherever a
 * guess would often be wrong: which of a symbol's signs, how many bytes the state needs, whether the
 * magnitude is 0. What it computes is what rans.ts, contexts.ts and block.ts say.
 * @module
 */
import { ProtocolError } from "../../core/index.ts";
import { type Contexts, MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import { ESCAPE, ESCAPE_LENGTH_BITS, MAGNITUDE_MAX, SHIFT_UNIT } from "./entropy.ts";
import type { Block } from "./plan.ts";
import { endsEarly, type RansDecoder, SHARE_BITS, SHARES } from "./rans.ts";
import { FIRST_SHIFT, FIRSTS, ROW_PLACES, readingTablesOf } from "./reading-tables.ts";

/** Where a vector's numbers go, from `at` on. */
export interface VectorSink {
  at: number;
  /** Null: not wanted. */
  readonly indices: Int16Array | null;
  /** What the indices stand for, in units of `unit`; null: not wanted. */
  readonly coefficients: Float64Array | null;
  /** The step in grid steps, by {@link SHIFT_UNIT}. */
  readonly unit: number;
}

/**
 * Reads one vector with the rows of `contexts` and moves `sink.at` behind it. Throws `ProtocolError("codec.truncated" | "codec.escape")`.
 */
export function readVector(
  decoder: RansDecoder,
  { trellis, model }: Block,
  contexts: Contexts,
  sink: VectorSink,
): void {
  const { firsts, ends, slots, levels, values } = readingTablesOf(model);
  const { next } = trellis;
  const { bytes, end } = decoder;
  const { indices, coefficients, unit, at: from } = sink;
  const { ceilings, follows } = contexts;
  const count = ceilings.length;
  let { state, at: byteAt } = decoder;
  let path = 0;
  let mean = MEAN_FIRST;
  for (let at = 0; at < count; at += 1) {
    const q = path & 1;
    const row = (follows ? rowAt(contexts, at, mean) : (ceilings[at] as number)) + q;
    const slot = state & (SHARES - 1);
    let place = row * ROW_PLACES + (firsts[row * FIRSTS + (slot >> FIRST_SHIFT)] as number);
    while (slot >= (ends[place] as number)) place += 1;
    const owned = slots[place] as number;
    // A magnitude above 0 has half of its share for each sign; the upper half is minus.
    const share = owned >> SHARE_BITS;
    const beyond = slot - (owned & (SHARES - 1)) - share;
    const sign = ~(beyond >> 31);
    state = Math.imul(share, state >> SHARE_BITS) + beyond + (share & ~sign);
    // A state from 2^23 on needs no byte, one from 2^15 on needs one, any other two.
    const needed = (Math.clz32(state) - 1) >> 3;
    const following = ((bytes[byteAt] as number) << 8) | (bytes[byteAt + 1] as number);
    state = (state << (8 * needed)) | (following >> (16 - 8 * needed));
    byteAt += needed;
    if (byteAt > end) throw endsEarly();
    let magnitude = place & (ROW_PLACES - 1);
    let level = levels[place] as number;
    let value = values[place] as number;
    if (magnitude === ESCAPE) {
      decoder.state = state;
      decoder.at = byteAt;
      magnitude = takeEscape(decoder);
      level += 2 * (magnitude - ESCAPE);
      value += 2 * (magnitude - ESCAPE) * SHIFT_UNIT;
      state = decoder.state;
      byteAt = decoder.at;
    }
    if (indices !== null) indices[from + at] = (magnitude ^ sign) - sign;
    if (coefficients !== null) coefficients[from + at] = ((value ^ sign) - sign) * unit;
    if (follows) mean = meanAfter(contexts, at, mean, level);
    path = next[2 * path + (magnitude & 1)] as number;
  }
  decoder.state = state;
  decoder.at = byteAt;
  sink.at = from + count;
}

function takeEscape(decoder: RansDecoder): number {
  const digits = decoder.bits(ESCAPE_LENGTH_BITS);
  if (digits === 0) throw new ProtocolError("codec.escape", "an escape without digits");
  const magnitude = ESCAPE - 1 + (1 << (digits - 1)) + decoder.bits(digits - 1);
  if (magnitude <= MAGNITUDE_MAX) return magnitude;
  throw new ProtocolError("codec.escape", `an index is at most 32767: got ${magnitude}`);
}
