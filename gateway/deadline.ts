/**
 * A bound on waiting for somebody else: a frozen store neither answers nor
 * fails (FACTS, BullMQ), so everything asked of it has a deadline here.
 * @module
 */
import { type Clock, TimeoutError } from "../src/core/index.ts";

/** The promise's own outcome, or `TimeoutError(reason)` after `timeoutMs`. The work itself is not stopped. */
export function within<T>(
  clock: Clock,
  timeoutMs: number,
  reason: string,
  work: Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(
      timeoutMs,
      () => reject(new TimeoutError(reason, `no answer within ${timeoutMs} ms`)),
      { background: true },
    );
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
