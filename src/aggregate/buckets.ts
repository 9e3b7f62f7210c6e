/**
 * Time buckets: which slice of time a contribution belongs to, and how long it counts.
 *
 * The gateway stamps each frame once, on arrival, so a replay falls into the
 * same bucket again. A bucket has three ages: it takes new contributions and
 * is read while it is one of the newest `bucketsKept`; it is then one bucket
 * too old and left alone; after that its rows are dropped from the store. The
 * idle one in between absorbs the skew between the clocks of two aggregators:
 * nobody adds to a bucket that another may already have dropped, so an absent
 * row always means "nothing of it counts any more".
 * @module
 */
import { InvalidConfigError } from "../core/index.ts";

export interface Retention {
  /** Length of a bucket, milliseconds, ≥ 1,000. */
  readonly bucketMs: number;
  /** Buckets that count, the current one included, ≥ 1. */
  readonly bucketsKept: number;
}

export const DEFAULT_RETENTION: Retention = { bucketMs: 86_400_000, bucketsKept: 30 };

/** Throws `InvalidConfigError` listing every fault. */
export function requireRetention(retention: Retention): Retention {
  const faults: string[] = [];
  const within = (name: keyof Retention, min: number) => {
    const value = retention[name];
    if (Number.isSafeInteger(value) && value >= min) return;
    faults.push(`${name} must be an integer ≥ ${min}: got ${value}`);
  };
  within("bucketMs", 1_000);
  within("bucketsKept", 1);
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return retention;
}

/** The bucket of a moment (milliseconds since 1970): an integer. */
export function bucketOf(retention: Retention, atMs: number): number {
  return Math.floor(atMs / retention.bucketMs);
}

/** The oldest bucket that is read and takes contributions at `nowMs`. */
export function oldestCounted(retention: Retention, nowMs: number): number {
  return bucketOf(retention, nowMs) - retention.bucketsKept + 1;
}

/**
 * The oldest bucket whose rows stay in the store. `newest` is the newest bucket that holds data:
 * both it and the clock must have moved on, so that one wrong clock cannot empty the state.
 */
export function oldestStored(retention: Retention, nowMs: number, newest: number): number {
  return Math.min(oldestCounted(retention, nowMs), newest - retention.bucketsKept + 1) - 1;
}
