/**
 * A clock whose time passes only when the test says so.
 * @module
 */
import type { Clock } from "../../src/core/index.ts";

export interface ManualClock extends Clock {
  /** Lets `ms` pass, running due timers in order and what they start. */
  advance(ms: number): Promise<void>;
  /** Timers that would still run. */
  readonly pending: number;
}

interface Entry {
  readonly atMs: number;
  readonly act: () => void;
}

/** Lets everything that is ready run: promises, socket events, immediates. */
export async function settle(turns = 8): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((done) => setImmediate(done));
}

export function manualClock(): ManualClock {
  let nowMs = 0;
  const timers = new Set<Entry>();
  const nextBy = (limitMs: number): Entry | undefined =>
    [...timers].filter((entry) => entry.atMs <= limitMs).sort((a, b) => a.atMs - b.atMs)[0];
  return {
    nowMs: () => 1_700_000_000_000 + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, act) {
      const entry = { atMs: nowMs + delayMs, act };
      timers.add(entry);
      // What is due now needs no passing of time.
      if (delayMs <= 0) setImmediate(() => timers.delete(entry) && act());
      return { cancel: () => void timers.delete(entry) };
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (let entry = nextBy(untilMs); entry !== undefined; entry = nextBy(untilMs)) {
        timers.delete(entry);
        nowMs = Math.max(nowMs, entry.atMs);
        entry.act();
        await settle();
      }
      nowMs = untilMs;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}
