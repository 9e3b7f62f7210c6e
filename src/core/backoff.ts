/**
 * Full-jitter exponential backoff (Marc Brooker, "Exponential Backoff And Jitter", 2015):
 * delay = uniform(0, min(max, base · 2^attempt)).
 *
 * A million TVs that lost the same gateway spread over the whole window
 * instead of returning in waves.
 * @module
 */
import type { Random } from "./random.ts";

export interface BackoffPolicy {
  /** Upper bound of the first delay, milliseconds, > 0. */
  readonly delayMsBase: number;
  /** Upper bound of every delay, milliseconds, ≥ delayMsBase. */
  readonly delayMsMax: number;
}

export const DEFAULT_BACKOFF: BackoffPolicy = { delayMsBase: 1_000, delayMsMax: 300_000 };

/** The delay in milliseconds before retry number `attempt` (0 is the first retry). */
export function backoffDelayMs(policy: BackoffPolicy, attempt: number, random: Random): number {
  const exponent = Math.min(attempt, 30);
  const ceilingMs = Math.min(policy.delayMsMax, policy.delayMsBase * 2 ** exponent);
  return Math.floor(random.next() * ceilingMs);
}
