/**
 * Time comes in through the front door.
 *
 * Nothing else in the product calls `Date.now` or `setTimeout`, so tests and
 * the simulator own the passing of time.
 * @module
 */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970; may jump, so it never orders anything. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never falls. */
  monotonicMs(): number;
  /** Runs `act` once after `delayMs` (≥ 0). `background` timers do not keep the process alive. */
  after(delayMs: number, act: () => void, options?: { readonly background?: boolean }): Timer;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, act, options) {
    const handle = setTimeout(act, delayMs);
    if (options?.background) handle.unref?.();
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Waits `delayMs` on `clock`. Rejects with the signal's reason as soon as
 * `signal` aborts, and leaves no timer behind either way.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
