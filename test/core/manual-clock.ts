/**
 * A clock under the test's control, so that nothing here sleeps.
 * @module
 */
import type { Clock } from "../../src/core/index.ts";

/** A clock that moves only when told to, and knows which timers it still holds. */
export function manualClock() {
  let nowMs = 0;
  const timers = new Set<{ readonly atMs: number; readonly act: () => void }>();
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, act) {
      const timer = { atMs: nowMs + delayMs, act };
      timers.add(timer);
      return { cancel: () => timers.delete(timer) };
    },
  };
  const advance = (byMs: number) => {
    nowMs += byMs;
    for (const timer of [...timers]) {
      if (timer.atMs > nowMs) continue;
      timers.delete(timer);
      timer.act();
    }
  };
  return { clock, advance, pending: () => timers.size };
}
