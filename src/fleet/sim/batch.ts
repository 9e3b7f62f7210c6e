/**
 * Many worlds, one after another, in this process.
 * @module
 */
import type { Invariant } from "../oracle/violation.ts";
import { planOf } from "./plan.ts";
import { type Outcome, runWorld, type SimContext } from "./run.ts";
import type { PaceName } from "./settings.ts";

/** A range of seeds, and the pace of their worlds. */
export interface SeedRange {
  readonly pace: PaceName;
  readonly first: number;
  readonly count: number;
}

/** What came of some worlds. */
export interface Tally {
  seeds: number;
  /** Hours that their devices lived, together. */
  virtualHours: number;
  /** Each invariant of each seed once. */
  violations: { readonly invariant: Invariant; readonly seed: number }[];
}

export function emptyTally(): Tally {
  return { seeds: 0, virtualHours: 0, violations: [] };
}

const HOUR_MS = 3_600_000;

/** Adds the outcome of one world to `tally`. */
export function count(tally: Tally, { plan, violations, virtualMs }: Outcome): void {
  const { seed, devices } = plan;
  tally.seeds += 1;
  tally.virtualHours += (virtualMs * devices) / HOUR_MS;
  for (const invariant of new Set(violations.map((violation) => violation.invariant))) {
    tally.violations.push({ invariant, seed });
  }
}

/** Lives the worlds of `range`; `onWorld` hears of each, and ends the batch by answering false. */
export async function runBatch(
  { pace, first, count: seeds }: SeedRange,
  context: SimContext,
  onWorld: (outcome: Outcome) => boolean,
): Promise<void> {
  for (let seed = first; seed < first + seeds; seed += 1) {
    if (!onWorld(await runWorld(planOf(seed, pace), context))) return;
  }
}
