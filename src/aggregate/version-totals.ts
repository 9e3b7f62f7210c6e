/**
 * From the rows of all shards to one total per pattern, as of one bucket.
 *
 * Shards are added first, where the numbers are integers and the order cannot
 * matter; only then does decay make them fractions, bucket by bucket in
 * ascending order. So the totals, and the release made of them, are the same
 * however the devices are spread over shards (P4).
 * @module
 */
import { assert } from "../core/index.ts";
import { isForgetMark } from "./forget-mark.ts";
import type { StoredSumRow } from "./merge.ts";
import { addSums, decodeSums, type PatternSums } from "./sums.ts";
import type { VersionPolicy } from "./version-policy.ts";

export interface PatternTotals {
  readonly id: string;
  /** Devices behind it, undecayed. */
  readonly devices: number;
  /** Σ λ^age · W. */
  readonly weight: number;
  /** Σ λ^age · S, grid steps times weight. */
  readonly vector: Float64Array;
  /** Σ W over every counted bucket, and over the recent ones; integers. */
  readonly plainWeight: number;
  readonly recentWeight: number;
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
): PatternTotals[] {
  const patterns = new Map<string, Map<number, PatternSums>>();
  for (const row of rows) {
    if (isForgetMark(row) || row.bucket <= nowBucket - policy.bucketsKept) continue;
    assert(row.blob !== null, "a loaded row has its sums");
    const sums = decodeSums(row.blob);
    assert(sums.vector.length === dim, "a tenant's sums have its dimension");
    const buckets = patterns.get(row.pattern) ?? new Map<number, PatternSums>();
    patterns.set(row.pattern, buckets);
    const known = buckets.get(row.bucket);
    if (known === undefined) buckets.set(row.bucket, sums);
    else addSums(known, sums);
  }
  return [...patterns]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, buckets]) => totalOf(id, buckets, policy, nowBucket, dim));
}

function totalOf(
  id: string,
  buckets: ReadonlyMap<number, PatternSums>,
  policy: VersionPolicy,
  nowBucket: number,
  dim: number,
): PatternTotals {
  let [devices, weight, plainWeight, recentWeight] = [0, 0, 0, 0];
  const vector = new Float64Array(dim);
  for (const [bucket, sums] of [...buckets].sort(([a], [b]) => a - b)) {
    // A gateway's clock may run ahead of ours; its bucket is not worth more than today's.
    const age = Math.max(0, nowBucket - bucket);
    const kept = policy.decayPerBucket ** age;
    devices += sums.devices;
    weight += kept * sums.weight;
    plainWeight += sums.weight;
    if (age < policy.recentBuckets) recentWeight += sums.weight;
    for (let index = 0; index < dim; index += 1) {
      vector[index] = (vector[index] as number) + kept * (sums.vector[index] as number);
    }
  }
  return { id, devices, weight, vector, plainWeight, recentWeight };
}
