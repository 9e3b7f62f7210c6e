/**
 * Shrinking: from a world that fails to the shortest beginning of its faults that still does,
 * and from there to those faults that matter.
 *
 * Every part of a world draws its chances from a stream of its own, so a world
 * with fewer faults is the same world otherwise.
 * @module
 */
import type { Invariant } from "../oracle/violation.ts";
import type { Fault, WorldPlan } from "./plan.ts";
import { type Outcome, runWorld, type SimContext } from "./run.ts";

export interface Shrunk {
  readonly outcome: Outcome;
  /** Faults of the whole plan, of the shortest prefix that fails, and of what is left of that. */
  readonly faults: { readonly all: number; readonly prefix: number; readonly left: number };
}

/** Makes a failing `outcome` smaller for as long as it breaks `invariant`. */
export async function shrink(
  outcome: Outcome,
  invariant: Invariant,
  context: SimContext,
): Promise<Shrunk> {
  const { plan } = outcome;
  let best = outcome;
  const failsWith = async (faults: readonly Fault[]) => {
    const tried = await runWorld({ ...plan, faults }, context);
    const fails = tried.violations.some((violation) => violation.invariant === invariant);
    if (fails) best = tried;
    return fails;
  };
  const prefix = await shortestPrefix(plan, failsWith);
  for (const fault of best.plan.faults) {
    const without = best.plan.faults.filter((other) => other !== fault);
    await failsWith(without);
  }
  const left = best.plan.faults.length;
  return { outcome: best, faults: { all: plan.faults.length, prefix, left } };
}

/**
 * The least number of faults, from the first on, with which the plan fails. Between two that were
 * tried failing need not rise with the number, so the prefix is one below which the next shorter passes.
 */
async function shortestPrefix(
  { faults }: WorldPlan,
  failsWith: (faults: readonly Fault[]) => Promise<boolean>,
): Promise<number> {
  let [passes, fails] = [-1, faults.length];
  while (fails - passes > 1) {
    const middle = passes < 0 ? 0 : (passes + fails) >> 1;
    if (await failsWith(faults.slice(0, middle))) fails = middle;
    else passes = middle;
  }
  return fails;
}
