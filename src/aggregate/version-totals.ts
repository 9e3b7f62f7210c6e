/**
 * From the rows of all shards to one total per pattern, as of one bucket.
 *
 * Shards are added first, where the numbers are integers and the order cannot
 * matter; only then does decay make them fractions, bucket by bucket in
 * ascending order, and only then are the spaces turned into one, in ascending
 * order again. So the totals, and the release made of them, are the same
 * however the devices are spread over shards (P4).
 * @module
 */
import { assert } from "../core/index.ts";
import { isForgetMark } from "./forget-mark.ts";
import type { StoredSumRow } from "./merge.ts";
import { addSums, decodeSums, type PatternSums, partsInOrder } from "./sums.ts";
import type { VersionPolicy } from "./version-policy.ts";

interface Counts {
  readonly id: string;
  /** Devices behind it, undecayed. */
  readonly devices: number;
  /** Σ λ^age · W. */
  readonly weight: number;
  /** Σ W over every counted bucket, and over the recent ones; integers. */
  readonly plainWeight: number;
  readonly recentWeight: number;
}

/** Totals as they are added up: one vector per space. */
export interface SpacedTotals extends Counts {
  /** By space, Σ λ^age · S, grid steps times weight. */
  readonly parts: ReadonlyMap<number, Float64Array>;
}

/** Totals with everything in the one space that a release is made in. */
export interface PatternTotals extends Counts {
  /** Σ λ^age · S, grid steps times weight. */
  readonly vector: Float64Array;
}

/**
 * Turns vectors of `space` into the target space, each by itself and without rounding: a linear
 * map, so that a sum turns like what it is the sum of. Asked for all vectors of a space at once,
 * because that is what a matrix product is good at.
 */
export type ToTargetSpace = (
  space: number,
  vectors: readonly Float64Array[],
) => readonly ArrayLike<number>[];

/** Whether a pattern may be released: enough devices share it, and something of it still counts. */
export function isEligible({ devices, weight }: Counts, policy: VersionPolicy): boolean {
  return devices >= policy.minDevices && weight > 0;
}

/**
 * Totals ascending by id, of `rows` of one tenant from any number of shards. Buckets older than
 * the policy keeps are left out. `dim`: rows of another dimension are a broken state.
 */
export function totalsOf(
  rows: readonly StoredSumRow[],
  policy: VersionPolicy,
  nowBucket: number,
  dim: number,
): SpacedTotals[] {
  const patterns = new Map<string, Map<number, PatternSums>>();
  for (const row of rows) {
    if (isForgetMark(row) || row.bucket <= nowBucket - policy.bucketsKept) continue;
    assert(row.blob !== null, "a loaded row has its sums");
    const sums = decodeSums(row.blob);
    assert(sums.dim === dim, "a tenant's sums have its dimension");
    const buckets = patterns.get(row.pattern) ?? new Map<number, PatternSums>();
    patterns.set(row.pattern, buckets);
    const known = buckets.get(row.bucket);
    if (known === undefined) buckets.set(row.bucket, sums);
    else addSums(known, sums);
  }
  return [...patterns]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, buckets]) => totalOf(id, buckets, policy, nowBucket));
}

/** The spaces that occur, ascending. */
export function spacesOf(spaced: readonly SpacedTotals[]): number[] {
  const spaces = new Set(spaced.flatMap(({ parts }) => [...parts.keys()]));
  return [...spaces].sort((a, b) => a - b);
}

/** `spaced` with every part turned into the space `target` and added up; any part of a list will do. */
export function totalsIn(
  target: number,
  spaced: readonly SpacedTotals[],
  dim: number,
  toTarget: ToTargetSpace,
): PatternTotals[] {
  const totals = spaced.map(({ parts: _, ...counts }): PatternTotals => {
    return { ...counts, vector: new Float64Array(dim) };
  });
  for (const space of spacesOf(spaced)) {
    const owners: Float64Array[] = [];
    const vectors: Float64Array[] = [];
    for (const [index, { parts }] of spaced.entries()) {
      const vector = parts.get(space);
      if (vector === undefined) continue;
      owners.push((totals[index] as PatternTotals).vector);
      vectors.push(vector);
    }
    const turned = space === target ? vectors : toTarget(space, vectors);
    for (const [index, owner] of owners.entries())
      addTo(owner, turned[index] as ArrayLike<number>, 1);
  }
  return totals;
}

function totalOf(
  id: string,
  buckets: ReadonlyMap<number, PatternSums>,
  policy: VersionPolicy,
  nowBucket: number,
): SpacedTotals {
  let [devices, weight, plainWeight, recentWeight] = [0, 0, 0, 0];
  const parts = new Map<number, Float64Array>();
  for (const [bucket, sums] of [...buckets].sort(([a], [b]) => a - b)) {
    // A gateway's clock may run ahead of ours; its bucket is not worth more than today's.
    const age = Math.max(0, nowBucket - bucket);
    const kept = policy.decayPerBucket ** age;
    devices += sums.devices;
    weight += kept * sums.weight;
    plainWeight += sums.weight;
    if (age < policy.recentBuckets) recentWeight += sums.weight;
    for (const [space, { vector }] of partsInOrder(sums)) {
      const total = parts.get(space) ?? new Float64Array(sums.dim);
      parts.set(space, total);
      addTo(total, vector, kept);
    }
  }
  return { id, devices, weight, parts, plainWeight, recentWeight };
}

function addTo(total: Float64Array, vector: ArrayLike<number>, factor: number): void {
  for (let index = 0; index < total.length; index += 1) {
    total[index] = (total[index] as number) + factor * (vector[index] as number);
  }
}
