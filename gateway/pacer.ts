/**
 * Pacing: so many per second, with a small burst, first come first served.
 *
 * A release reaches a hundred thousand TVs as a steady stream, not as a wave
 * that fills every socket buffer at once. This is the generic cell rate
 * algorithm (ITU-T I.371): one number, the time at which the bucket would be
 * free, holds the whole state.
 * @module
 */
import { assert, type Clock, sleep } from "../src/core/index.ts";

export interface Pacer {
  /** Waits until `count` more may pass. Rejects with the signal's reason when it aborts. */
  take(count: number, signal?: AbortSignal): Promise<void>;
}

export interface PacerOptions {
  /** Sustained rate per second, > 0. */
  readonly ratePerS: number;
  /** How many may pass at once after a pause, ≥ 1. */
  readonly burstCount: number;
  readonly clock: Clock;
}

export function createPacer(options: PacerOptions): Pacer {
  const { ratePerS, burstCount, clock } = options;
  assert(ratePerS > 0, "a pace is above zero");
  assert(burstCount >= 1, "a burst holds at least one");
  const msEach = 1_000 / ratePerS;
  const burstMs = burstCount * msEach;
  let paidUntilMs = Number.NEGATIVE_INFINITY;
  return {
    async take(count, signal) {
      const nowMs = clock.monotonicMs();
      paidUntilMs = Math.max(paidUntilMs, nowMs) + count * msEach;
      const waitMs = paidUntilMs - burstMs - nowMs;
      if (waitMs > 0) await sleep(clock, waitMs, signal);
      else signal?.throwIfAborted();
    },
  };
}
