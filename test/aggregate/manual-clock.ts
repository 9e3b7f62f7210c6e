/** A clock that moves only when a test says so. */
import type { Clock, Timer } from "../../src/core/index.ts";

export interface ManualClock extends Clock {
  /** Moves on by `deltaMs`, running every timer that comes due, in order, and what follows from it. */
  advance(deltaMs: number): Promise<void>;
  /** Timers that wait, background ones included. */
  readonly timers: number;
}

/** Lets everything that can run without time passing run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export function manualClock(startMs = 1_800_000_000_000): ManualClock {
  let elapsedMs = 0;
  let order = 0;
  const waiting = new Map<number, { dueMs: number; act: () => void }>();
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    after(delayMs, act): Timer {
      order += 1;
      const id = order;
      waiting.set(id, { dueMs: elapsedMs + delayMs, act });
      return { cancel: () => waiting.delete(id) };
    },
    async advance(deltaMs) {
      const untilMs = elapsedMs + deltaMs;
      for (;;) {
        await settle();
        const [next] = [...waiting]
          .filter(([, timer]) => timer.dueMs <= untilMs)
          .sort(([a, left], [b, right]) => left.dueMs - right.dueMs || a - b);
        if (next === undefined) break;
        const [id, { dueMs, act }] = next;
        waiting.delete(id);
        elapsedMs = Math.max(elapsedMs, dueMs);
        act();
      }
      elapsedMs = untilMs;
      await settle();
    },
    get timers() {
      return waiting.size;
    },
  };
}
