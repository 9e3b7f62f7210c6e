/**
 * How long BullMQ is to try: without end, and gently.
 *
 * A job leaves the queue in one way only, by its handler resolving. So the
 * attempts are as many as the backends can count, and no retention rule may
 * ever delete what failed (measured: two kills of a worker put a job in `failed`
 * with the defaults).
 * @module
 */
import type { JobsOptions } from "bullmq";
import { type BackoffPolicy, backoffDelayMs, type Random } from "../core/index.ts";

/** PostgreSQL counts attempts and stalls in an int4. */
export const COUNT_MAX = 2 ** 31 - 1;
/** The events stream serves dashboards only; its default of 10,000 would be held per shard. */
export const EVENTS_MAX = 1_000;
const BACKOFF_TYPE = "omega";

export const JOB_OPTIONS: JobsOptions = {
  attempts: COUNT_MAX,
  backoff: { type: BACKOFF_TYPE },
  removeOnComplete: true,
  removeOnFail: false,
  // Every retry would store another stack in the job.
  stackTraceLimit: 1,
};

export const RETRY_BACKOFF: BackoffPolicy = { delayMsBase: 100, delayMsMax: 5_000 };
/** What lies further ahead was written by a wrong clock; retries, checks and locks are of a few seconds. */
export const AHEAD_MS_MAX = 15_000;
/** Zero would put the job back at once, in a busy loop with the handler that just refused it. */
const RETRY_DELAY_MS_MIN = 20;

/** BullMQ's custom backoff: milliseconds to wait after failure number `attemptsMade` (≥ 1). */
export function retryDelayMs(policy: BackoffPolicy, random: Random, attemptsMade: number): number {
  return RETRY_DELAY_MS_MIN + backoffDelayMs(policy, Math.max(0, attemptsMade - 1), random);
}
