/**
 * A clock whose time passes only when the test says so, so that nothing sleeps.
 * @module
 */
import type { Clock } from "../../src/core/index.ts";

export interface ManualClock extends Clock {
  /** Lets `ms` pass, running due timers in order and what follows from them. */
  advance(ms: number): Promise<void>;
  /** Timers that would still run, background ones included. */
  readonly pending: number;
}

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

/** Lets everything that needs no passing of time run: promises, socket events, immediates. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((done) => setImmediate(done));
}

/** `startMs`: its wall clock at first, milliseconds since 1970. */
export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  let elapsedMs = 0;
  let started = 0;
  const timers = new Set<Entry>();
  const nextBy = (limitMs: number): Entry | undefined =>
    [...timers]
      .filter((entry) => entry.atMs <= limitMs)
      .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    after(delayMs, act) {
      started += 1;
      const entry = { atMs: elapsedMs + delayMs, order: started, act };
      timers.add(entry);
      // What is due now needs no passing of time.
      if (delayMs <= 0) setImmediate(() => timers.delete(entry) && act());
      return { cancel: () => void timers.delete(entry) };
    },
    async advance(ms) {
      const untilMs = elapsedMs + ms;
      await settle();
      for (let entry = nextBy(untilMs); entry !== undefined; entry = nextBy(untilMs)) {
        timers.delete(entry);
        elapsedMs = Math.max(elapsedMs, entry.atMs);
        entry.act();
        await settle();
      }
      elapsedMs = untilMs;
    },
    get pending() {
      return timers.size;
    },
  };
}
