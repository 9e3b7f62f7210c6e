/**
 * Verification: does the stored state say what its own registers say?
 *
 * Recomputes every sum of a shard from the registers of its devices and
 * compares the bytes (P4), and counts what the cursors hold as consumed against
 * what was applied or dead-lettered (P2). Reads only; for tests, the demo's
 * verdict and operators. On a shard that is being written the answer is about
 * no single moment.
 * @module
 */
import { type DeviceKey, sameBytes, shardOf } from "../core/index.ts";
import type { ShardStats, Store } from "../store/index.ts";
import { oldestCounted, type Retention } from "./buckets.ts";
import { consumedCount } from "./dedup.ts";
import { isForgetMark } from "./forget-mark.ts";
import { draftOf, encodeChanges, noSums, type StoredSumRow, type SumsDraft } from "./merge.ts";
import { decodeAll } from "./shard-state.ts";

/** One row of sums that is not what the registers say. */
interface SumMismatch {
  readonly tenant: string;
  readonly pattern: string;
  readonly bucket: number;
  readonly kind: "missing" | "unexpected" | "different";
}

interface ShardVerdict {
  readonly shard: number;
  readonly rows: number;
  readonly registers: number;
  readonly mismatches: readonly SumMismatch[];
  readonly stats: ShardStats;
  /**
   * Positions that the cursors hold as consumed. Equals applied + deadLettered, unless a frame was
   * dead-lettered without a position it could consume, a fifth epoch pushed one out, or a device
   * was forgotten.
   */
  readonly consumed: number;
}

/** Checks one shard. `keys`: every device that ever sent a delta; those of other shards are skipped. */
async function verifyShard(
  store: Store,
  shard: number,
  keys: readonly DeviceKey[],
  retention: Retention,
  nowMs: number,
): Promise<ShardVerdict> {
  const own = keys.filter((key) => shardOf(key, store.shards) === shard);
  const draft = draftOf(noSums());
  let registers = 0;
  for (const key of own) registers += addDevice(draft, key, await store.registers(key));
  const cursors = await store.cursors(own);
  const { sums } = await store.loadShard(shard);
  const stored = sums.filter((row) => !isForgetMark(row));
  return {
    shard,
    rows: stored.length,
    registers,
    mismatches: compare(encodeChanges(draft.changes()), stored, oldestCounted(retention, nowMs)),
    stats: await store.stats(shard),
    consumed: cursors.reduce((sum, cursor) => sum + consumedCount(cursor?.epochs ?? []), 0),
  };
}

/** Checks every shard of the store, in order. */
export async function verifyShards(
  store: Store,
  keys: readonly DeviceKey[],
  retention: Retention,
  nowMs: number,
): Promise<ShardVerdict[]> {
  const verdicts: ShardVerdict[] = [];
  for (let shard = 0; shard < store.shards; shard += 1) {
    verdicts.push(await verifyShard(store, shard, keys, retention, nowMs));
  }
  return verdicts;
}

function addDevice(
  draft: SumsDraft,
  key: DeviceKey,
  blobs: ReadonlyMap<string, Uint8Array>,
): number {
  for (const [pattern, register] of decodeAll(blobs)) {
    draft.replace(key.tenant, pattern, null, register);
  }
  return blobs.size;
}

/** Rows older than `oldest` may have been dropped; those that were not must still be right. */
function compare(
  expected: readonly StoredSumRow[],
  stored: readonly StoredSumRow[],
  oldest: number,
): SumMismatch[] {
  const nameOf = (row: StoredSumRow) => `${row.tenant}/${row.pattern}/${row.bucket}`;
  const open = new Map(expected.map((row) => [nameOf(row), row]));
  const mismatches: SumMismatch[] = [];
  const report = ({ tenant, pattern, bucket }: StoredSumRow, kind: SumMismatch["kind"]) =>
    mismatches.push({ tenant, pattern, bucket, kind });
  for (const row of stored) {
    const wanted = open.get(nameOf(row));
    open.delete(nameOf(row));
    if (wanted === undefined) report(row, "unexpected");
    else if (!sameBlob(wanted.blob, row.blob)) report(row, "different");
  }
  for (const row of open.values()) if (row.bucket >= oldest) report(row, "missing");
  return mismatches;
}

function sameBlob(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : sameBytes(a, b);
}
