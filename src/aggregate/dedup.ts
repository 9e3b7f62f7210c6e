/**
 * Dedup: which positions of a device were consumed, in constant space (P2).
 *
 * Per device at most four epochs, each as in an IPsec anti-replay window
 * (RFC 4303 §3.4.3) turned around: `low` (every seq ≤ low is consumed) and 256
 * bits for the seqs above it. Anchoring the window at the oldest gap instead of
 * the newest arrival means that no seq is ever given up silently: what does not
 * fit is refused by name (THREATS 20), and an honest device, with 16 deltas in
 * flight, never gets there.
 *
 * Consumption is monotone: a consumed position stays consumed for as long as
 * its epoch is remembered, and an epoch is forgotten only for four newer ones.
 * @module
 */
import { assert, limits } from "../core/index.ts";
import type { Position } from "../wire/index.ts";

/** Epochs one device may have open: its present incarnation and late deltas of three earlier ones. */
export const EPOCHS_MAX = 4;

/** How far above the oldest gap a seq may be and still be waited for. */
const GAP_SEQS_MAX = 4 * limits.DEDUP_WINDOW;
const AHEAD_BYTES = limits.DEDUP_WINDOW / 8;
assert(Number.isInteger(AHEAD_BYTES), "the window fills whole bytes");

/** Which seqs of one epoch were consumed; the store's `EpochCursor`. */
export interface EpochSeen {
  /** 1 … 2^53 − 1. */
  readonly epoch: number;
  /** Every seq ≤ low is consumed; 0 = none. */
  readonly low: number;
  /** 32 bytes; bit i = seq low + 1 + i is consumed. Bit 0 is never set: low would be higher. */
  readonly ahead: Uint8Array;
}

export type Consumption =
  | { readonly verdict: "fresh"; readonly epochs: readonly EpochSeen[] }
  | { readonly verdict: "duplicate" }
  | {
      readonly verdict: "refused";
      readonly reason: "position.invalid" | "seq.window" | "epoch.expired";
    };

/**
 * Consumes `position` against `epochs` (at most {@link EPOCHS_MAX}, ascending; never changed).
 * "fresh" answers the epochs with the position in them. "refused" consumes nothing:
 * `seq.window` is more than 256 above the oldest gap, `epoch.expired` is older than every
 * remembered epoch when there is no room, `position.invalid` is not a pair of integers ≥ 1.
 */
export function consume(epochs: readonly EpochSeen[], position: Position): Consumption {
  if (!isOrdinal(position.epoch) || !isOrdinal(position.seq)) {
    return { verdict: "refused", reason: "position.invalid" };
  }
  const known = epochs.find((seen) => seen.epoch === position.epoch);
  const seen = known ?? { epoch: position.epoch, low: 0, ahead: new Uint8Array(AHEAD_BYTES) };
  if (position.seq <= seen.low) return { verdict: "duplicate" };
  const offset = position.seq - seen.low - 1;
  if (offset >= limits.DEDUP_WINDOW) return { verdict: "refused", reason: "seq.window" };
  if (isSet(seen.ahead, offset)) return { verdict: "duplicate" };
  const room = known !== undefined || epochs.length < EPOCHS_MAX;
  if (!room && position.epoch < (epochs[0]?.epoch ?? 0)) {
    return { verdict: "refused", reason: "epoch.expired" };
  }
  const marked = mark(seen, offset);
  if (known !== undefined) {
    return { verdict: "fresh", epochs: epochs.map((other) => (other === known ? marked : other)) };
  }
  const next = [...epochs, marked].sort((a, b) => a.epoch - b.epoch);
  return { verdict: "fresh", epochs: next.slice(-EPOCHS_MAX) };
}

/**
 * The oldest seq of `position`'s epoch that was not consumed yet, or null when `position` is so
 * far above it ({@link GAP_SEQS_MAX}) that no honest device can be meant.
 *
 * The jobs of a writer that died come back seconds after newer ones were folded, so a busy device
 * may for a moment be ahead of the window; what it sent can wait for the gap to close.
 */
export function gapBefore(epochs: readonly EpochSeen[], position: Position): number | null {
  const low = epochs.find((seen) => seen.epoch === position.epoch)?.low ?? 0;
  return position.seq - low <= GAP_SEQS_MAX ? low + 1 : null;
}

/** Whether `position` was consumed, as far as `epochs` remember. */
export function isConsumed(epochs: readonly EpochSeen[], position: Position): boolean {
  return consume(epochs, position).verdict === "duplicate";
}

/** The highest consumed position, or null when there is none. */
export function newestConsumed(epochs: readonly EpochSeen[]): Position | null {
  const newest = epochs.at(-1);
  if (newest === undefined) return null;
  for (let byte = newest.ahead.length - 1; byte >= 0; byte -= 1) {
    const bits = newest.ahead[byte] as number;
    if (bits === 0) continue;
    return { epoch: newest.epoch, seq: newest.low + 8 * byte + 32 - Math.clz32(bits) };
  }
  return { epoch: newest.epoch, seq: newest.low };
}

/** How many positions `epochs` hold as consumed. */
export function consumedCount(epochs: readonly EpochSeen[]): number {
  let count = 0;
  for (const seen of epochs) {
    count += seen.low;
    for (let offset = 0; offset < limits.DEDUP_WINDOW; offset += 1) {
      if (isSet(seen.ahead, offset)) count += 1;
    }
  }
  return count;
}

/** Whether `a` comes after `b`: the order of last writer wins. */
export function isLater(a: Position, b: Position): boolean {
  return a.epoch === b.epoch ? a.seq > b.seq : a.epoch > b.epoch;
}

function isOrdinal(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Sets the bit, then moves `low` over every consumed seq that follows it without a gap. */
function mark(seen: EpochSeen, offset: number): EpochSeen {
  if (offset === 0 && isNone(seen.ahead)) return { ...seen, low: seen.low + 1 };
  const marked = seen.ahead.slice();
  marked[offset >> 3] = (marked[offset >> 3] ?? 0) | (1 << (offset & 7));
  let run = 0;
  while (run < limits.DEDUP_WINDOW && isSet(marked, run)) run += 1;
  if (run === 0) return { ...seen, ahead: marked };
  return { epoch: seen.epoch, low: seen.low + run, ahead: shiftDown(marked, run) };
}

function isNone(bits: Uint8Array): boolean {
  for (let byte = 0; byte < bits.length; byte += 1) if (bits[byte] !== 0) return false;
  return true;
}

function isSet(bits: Uint8Array, offset: number): boolean {
  return (((bits[offset >> 3] ?? 0) >> (offset & 7)) & 1) === 1;
}

function shiftDown(bits: Uint8Array, by: number): Uint8Array {
  const shifted = new Uint8Array(bits.length);
  const bytes = by >> 3;
  const rest = by & 7;
  for (let index = 0; index + bytes < bits.length; index += 1) {
    const high = (bits[index + bytes + 1] ?? 0) << (8 - rest);
    shifted[index] = ((bits[index + bytes] ?? 0) >> rest) | (high & 0xff);
  }
  return shifted;
}
