/** Sum rows and totals for the tests of releases. */
import type { StoredSumRow } from "../../src/aggregate/merge.ts";
import { contribute, emptySums, encodeSums } from "../../src/aggregate/sums.ts";
import { DEFAULT_VERSION_POLICY, type VersionPolicy } from "../../src/aggregate/version-policy.ts";
import type { GridVector } from "../../src/wire/index.ts";
import { NOW_MS } from "./frames.ts";

export const BUCKET = Math.floor(NOW_MS / DEFAULT_VERSION_POLICY.bucketMs);
export const RELEASE_POLICY: VersionPolicy = { ...DEFAULT_VERSION_POLICY, minDevices: 3 };

/** `devices` devices that all say `vector` with `weight`, in one bucket. */
export function sumRow(
  pattern: string,
  vector: GridVector,
  { devices = 5, weight = 100, bucket = BUCKET, tenant = "acme", space = 0 } = {},
): StoredSumRow {
  const sums = emptySums(vector.length);
  for (let device = 0; device < devices; device += 1) {
    contribute(sums, { weight, successPermille: 800, samples: 10, space, vector }, 1);
  }
  return { tenant, pattern, bucket, blob: encodeSums(sums) };
}

/** A unit vector along one axis, in grid steps. */
export function axis(at: number, dim = 8, length = 16_384): GridVector {
  const vector = new Int16Array(dim);
  vector[at] = length;
  return vector;
}
