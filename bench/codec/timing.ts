/**
 * The fastest of several runs, in microseconds. All that is timed here does the same work each time,
 * so what a slower run took longer was the machine's other business (as Python's timeit argues); a
 * busy machine cuts long acts more often than short ones, and would bend every ratio of medians.
 * Acts that are compared run in turn, so that both see the same weather.
 * @module
 */

export interface TimingLimits {
  readonly runsMin: number;
  readonly runsMax: number;
  readonly msMax: number;
}

/** Microseconds of the fastest run of each act; they must have run before to be warm. */
export function fastestUs(acts: readonly (() => void)[], limits: TimingLimits): number[] {
  const fastest = acts.map(() => Number.POSITIVE_INFINITY);
  const startedAtMs = performance.now();
  for (let run = 0; run < limits.runsMax; run += 1) {
    if (run >= limits.runsMin && performance.now() - startedAtMs > limits.msMax) break;
    for (const [index, act] of acts.entries()) {
      const beforeMs = performance.now();
      act();
      const us = (performance.now() - beforeMs) * 1000;
      fastest[index] = Math.min(fastest[index] as number, us);
    }
  }
  return fastest;
}
