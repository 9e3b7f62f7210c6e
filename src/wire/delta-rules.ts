/**
 * What a delta's columns may hold, whichever way they were packed.
 *
 * The CBOR columns of codec 0 and the bit columns of codec 1 are two
 * spellings of the same `DeltaColumns`; their ranges and reasons stand here
 * once, so that a delta is legal in one exactly when it is in the other.
 * @module
 */
import { limits, ProtocolError } from "../core/index.ts";
import { PERMILLE, SAMPLES_MAX, UPDATED_AT_S_MAX } from "./delta.ts";
import type { Range } from "./fields.ts";

/** The columns of the upserts, all of one length, and the removals. */
export interface DeltaColumns {
  readonly ids: readonly string[];
  readonly weights: readonly number[];
  /** Thousandths. */
  readonly success: readonly number[];
  readonly samples: readonly number[];
  readonly updatedAtS: readonly number[];
  /** 0 absolute, +s a difference to what this device wrote at seq s, −s that is kept. */
  readonly refs: readonly number[];
  readonly removals: readonly string[];
}

/** The ranges that do not depend on the frame. */
export const DELTA_RANGES = {
  weights: { min: 1, max: limits.WEIGHT_MAX },
  success: { min: 0, max: PERMILLE },
  samples: { min: 0, max: SAMPLES_MAX },
  updatedAtS: { min: 0, max: UPDATED_AT_S_MAX },
} as const satisfies Readonly<Record<string, Range>>;

/** What a ref may be in the delta `seq`. */
export function refRange(seq: number): Range {
  return { min: 1 - seq, max: seq - 1 };
}

/** 1 to 256 items, each id once. Throws `ProtocolError("delta.items" | "delta.duplicate-id")`. */
export function requireItems(ids: readonly string[], removals: readonly string[]): void {
  const items = ids.length + removals.length;
  if (items === 0 || items > limits.DELTA_ITEMS_MAX) {
    throw new ProtocolError("delta.items", `1 to ${limits.DELTA_ITEMS_MAX} items: got ${items}`);
  }
  if (new Set([...ids, ...removals]).size < items) {
    throw new ProtocolError("delta.duplicate-id", "an id occurs twice");
  }
}
