/**
 * A limit on how long one answer is waited for.
 *
 * Some calls of our dependencies neither return nor fail (BullMQ's `add()` on a frozen Redis);
 * nothing in the product waits for one of them without a bound.
 * @module
 */
import type { Clock } from "./clock.ts";

/**
 * `work`, or a rejection with `late()` once `limitMs` (≥ 0) have passed. The
 * work itself goes on; its later outcome is ignored, and leaves no unhandled rejection.
 * With `background` the waiting alone does not keep the process alive.
 */
export function within<T>(
  clock: Clock,
  limitMs: number,
  work: Promise<T>,
  late: () => Error,
  options?: { readonly background?: boolean },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => reject(late()), options);
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
