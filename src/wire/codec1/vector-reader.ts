/**
 * Reading the indices of one vector, and what they stand for.
 *
 * This is where a server spends its time on a delta, thousands of symbols a frame; so it is one
 * loop over local variables. A table says which symbol may own a slot (it is that one or, seldom, one
 * of the next), and the sign is taken without a branch, because every second guess at it would be
 * wrong. What it computes is what rans.ts, contexts.ts and block.ts say.
 * @module
 */
import { ProtocolError } from "../../core/index.ts";
import { type Contexts, MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import {
  ESCAPE,
  ESCAPE_LENGTH_BITS,
  FIRST_SHIFT,
  FIRSTS,
  MAGNITUDE_MAX,
  ROW_SHIFTS,
  ROW_STARTS,
  SHIFT_UNIT,
} from "./entropy.ts";
import type { Block } from "./plan.ts";
import { endsEarly, type RansDecoder, SHARE_BITS, SHARES, STATE_MIN } from "./rans.ts";
import { levelOf } from "./trellis.ts";

/** Where a vector's numbers go, from `at` on. */
export interface VectorSink {
  at: number;
  readonly indices: Int16Array;
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
  const { starts, firsts, shifts } = model;
  const { next } = trellis;
  const { bytes } = decoder;
  const { indices, coefficients, unit, at: from } = sink;
  const { ceilings, follows } = contexts;
  const count = ceilings.length;
  const bytesEnd = bytes.length;
  let { state, at: byteAt } = decoder;
  let path = 0;
  let mean = MEAN_FIRST;
  for (let at = 0; at < count; at += 1) {
    const q = path & 1;
    const row = (follows ? rowAt(contexts, at, mean) : (ceilings[at] as number)) + q;
    const slot = state & (SHARES - 1);
    const base = row * ROW_STARTS;
    let place = base + (firsts[row * FIRSTS + (slot >> FIRST_SHIFT)] as number);
    let end = starts[place + 1] as number;
    while (slot >= end) {
      place += 1;
      end = starts[place + 1] as number;
    }
    let magnitude = place - base;
    const start = starts[place] as number;
    // A magnitude above 0 has half of its share for each sign; the upper half is minus.
    const share = (end - start) >> Math.min(magnitude, 1);
    const beyond = slot - start - share;
    const sign = ~(beyond >> 31);
    state = Math.imul(share, state >> SHARE_BITS) + beyond + (share & ~sign);
    while (state < STATE_MIN) {
      if (byteAt === bytesEnd) throw endsEarly();
      state = (state << 8) | (bytes[byteAt++] as number);
    }
    if (magnitude === ESCAPE) {
      decoder.state = state;
      decoder.at = byteAt;
      magnitude = takeEscape(decoder);
      state = decoder.state;
      byteAt = decoder.at;
    }
    const level = levelOf(q, magnitude);
    indices[from + at] = (magnitude ^ sign) - sign;
    if (coefficients !== null) {
      const shift = shifts[row * ROW_SHIFTS + Math.min(magnitude, 3)] as number;
      coefficients[from + at] = (level * SHIFT_UNIT - shift) * unit * (1 + 2 * sign);
    }
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
