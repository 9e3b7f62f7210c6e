/**
 * Medians of wall time. The machine may be busy: a median forgives what a mean would count, and
 * ratios are taken from runs that alternate, so that both sides see the same weather.
 * @module
 */

export interface TimingLimits {
  readonly runsMin: number;
  readonly runsMax: number;
  readonly msMax: number;
}

/** Median microseconds of `act`, which must have run before to be warm. */
export function medianUs(act: () => void, limits: TimingLimits): number {
  return median(alternately([act], limits)[0] as number[]);
}

/** Median microseconds of each act, run in turn. */
export function mediansUs(acts: readonly (() => void)[], limits: TimingLimits): number[] {
  return alternately(acts, limits).map(median);
}

function alternately(acts: readonly (() => void)[], limits: TimingLimits): number[][] {
  const times: number[][] = acts.map(() => []);
  const startedAtMs = performance.now();
  for (let run = 0; run < limits.runsMax; run += 1) {
    if (run >= limits.runsMin && performance.now() - startedAtMs > limits.msMax) break;
    for (const [index, act] of acts.entries()) {
      const beforeMs = performance.now();
      act();
      times[index]?.push((performance.now() - beforeMs) * 1000);
    }
  }
  return times;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
