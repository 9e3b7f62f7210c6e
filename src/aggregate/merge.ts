/**
 * Merging: last-writer-wins registers in, exact sums out (ARCHITECTURE.md, "Merging"; P4).
 *
 * A shard's sums are a base that nobody changes and a draft on top of it. A
 * draft copies a row when it first touches it, so a batch whose commit fails
 * leaves no trace, and the rows to write are exactly those the draft holds.
 *
 * When a register is replaced, its old contribution is taken back from the
 * bucket it was counted in and the new one is added to the bucket of today. An
 * old bucket whose row is gone was dropped as a whole (buckets.ts): there is
 * nothing left to take back.
 * @module
 */
import { assert } from "../core/index.ts";
import type { LiveRegister, Register } from "./register.ts";
import {
  contribute,
  copySums,
  decodeSums,
  emptySums,
  encodeSums,
  isEmptySums,
  type PatternSums,
} from "./sums.ts";

/** A row as the store keeps it; blob null deletes it. */
export interface StoredSumRow {
  readonly tenant: string;
  readonly pattern: string;
  readonly bucket: number;
  readonly blob: Uint8Array | null;
}

/** A row that a draft changed; null sums mean that it is empty now or dropped. */
export interface SumChange {
  readonly tenant: string;
  readonly pattern: string;
  readonly bucket: number;
  readonly sums: PatternSums | null;
}

type Buckets = Map<number, PatternSums>;

/** All sums of one shard, in memory. Only {@link applyChanges} alters it. */
export interface ShardSums {
  readonly tenants: Map<string, Map<string, Buckets>>;
  /** How many rows each bucket has, to know when one can be dropped. */
  readonly rowsByBucket: Map<number, number>;
  /** By tenant: in how many rows each space has a part, to know how large a row may be. */
  readonly rowsBySpace: Map<string, Map<number, number>>;
}

/** The sums of a shard that has none. */
export function noSums(): ShardSums {
  return { tenants: new Map(), rowsByBucket: new Map(), rowsBySpace: new Map() };
}

/** Builds the sums from stored rows. Throws `SerializationError("record.sums")`. */
export function sumsFromRows(rows: readonly StoredSumRow[]): ShardSums {
  const sums = noSums();
  const changes = rows.map(({ tenant, pattern, bucket, blob }) => {
    assert(blob !== null, "a loaded row has its sums");
    return { tenant, pattern, bucket, sums: decodeSums(blob) };
  });
  applyChanges(sums, changes);
  return sums;
}

/** Makes a committed draft part of the base, in place. */
export function applyChanges(base: ShardSums, changes: readonly SumChange[]): void {
  for (const { tenant, pattern, bucket, sums } of changes) {
    const patterns = base.tenants.get(tenant) ?? new Map<string, Buckets>();
    const buckets: Buckets = patterns.get(pattern) ?? new Map();
    const before = buckets.get(bucket) ?? null;
    if (sums === null) buckets.delete(bucket);
    else buckets.set(bucket, sums);
    count(base.rowsByBucket, bucket, (sums === null ? 0 : 1) - (before === null ? 0 : 1));
    countSpaces(base, tenant, before, sums);
    if (buckets.size === 0) patterns.delete(pattern);
    else patterns.set(pattern, buckets);
    if (patterns.size === 0) base.tenants.delete(tenant);
    else base.tenants.set(tenant, patterns);
  }
}

function countSpaces(
  base: ShardSums,
  tenant: string,
  before: PatternSums | null,
  after: PatternSums | null,
): void {
  const spaces = base.rowsBySpace.get(tenant) ?? new Map<number, number>();
  for (const space of before?.parts.keys() ?? []) count(spaces, space, -1);
  for (const space of after?.parts.keys() ?? []) count(spaces, space, 1);
  if (spaces.size === 0) base.rowsBySpace.delete(tenant);
  else base.rowsBySpace.set(tenant, spaces);
}

/** A count of 0 is no entry. */
function count(counts: Map<number, number>, key: number, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}

/** The rows of `changes` as the store takes them. */
export function encodeChanges(changes: readonly SumChange[]): StoredSumRow[] {
  return changes.map(({ tenant, pattern, bucket, sums }) => ({
    tenant,
    pattern,
    bucket,
    blob: sums === null ? null : encodeSums(sums),
  }));
}

/** What a batch does to the sums, before it is committed. */
export interface SumsDraft {
  /** Whether the tenant has sums for the pattern, or this draft has added some. */
  hasPattern(tenant: string, pattern: string): boolean;
  /** Patterns of one tenant, those this draft added included. */
  patternCount(tenant: string): number;
  hasTenant(tenant: string): boolean;
  tenantCount(): number;
  /** Replaces one register's contribution by another's; either may be absent or a tombstone. */
  replace(tenant: string, pattern: string, before: Register | null, after: Register | null): void;
  /** Drops rows older than `bucket`, at most `rowsMax` of them; the rest goes with a later batch. */
  dropBefore(bucket: number, rowsMax: number): void;
  /** Every touched row, in the order of its first touch. */
  changes(): SumChange[];
}

export function draftOf(base: ShardSums): SumsDraft {
  const touched = new Map<string, SumChange>();
  const added = new Map<string, Set<string>>();

  const baseRow = (tenant: string, pattern: string, bucket: number) =>
    base.tenants.get(tenant)?.get(pattern)?.get(bucket) ?? null;
  const hasPattern = (tenant: string, pattern: string) =>
    base.tenants.get(tenant)?.has(pattern) === true || added.get(tenant)?.has(pattern) === true;

  /** The draft's own copy of a row; null when it does not exist. */
  const touch = (tenant: string, pattern: string, bucket: number): PatternSums | null => {
    const name = `${tenant}/${pattern}/${bucket}`;
    const known = touched.get(name);
    if (known !== undefined) return known.sums;
    const row = baseRow(tenant, pattern, bucket);
    if (row === null) return null;
    const sums = copySums(row);
    touched.set(name, { tenant, pattern, bucket, sums });
    return sums;
  };

  const add = (tenant: string, pattern: string, register: LiveRegister) => {
    const { bucket } = register;
    let sums = touch(tenant, pattern, bucket);
    if (sums === null) {
      if (!hasPattern(tenant, pattern)) {
        added.set(tenant, (added.get(tenant) ?? new Set()).add(pattern));
      }
      sums = emptySums(register.vector.length);
      touched.set(`${tenant}/${pattern}/${bucket}`, { tenant, pattern, bucket, sums });
    }
    contribute(sums, register, 1);
  };

  const takeBack = (tenant: string, pattern: string, register: LiveRegister) => {
    const sums = touch(tenant, pattern, register.bucket);
    if (sums !== null) contribute(sums, register, -1);
  };

  return {
    hasPattern,
    patternCount: (tenant) =>
      (base.tenants.get(tenant)?.size ?? 0) + (added.get(tenant)?.size ?? 0),
    hasTenant: (tenant) => base.tenants.has(tenant) || added.has(tenant),
    tenantCount() {
      const fresh = [...added.keys()].filter((tenant) => !base.tenants.has(tenant));
      return base.tenants.size + fresh.length;
    },
    replace(tenant, pattern, before, after) {
      if (before?.kind === "live") takeBack(tenant, pattern, before);
      if (after?.kind === "live") add(tenant, pattern, after);
    },
    dropBefore(oldest, rowsMax) {
      if (![...base.rowsByBucket.keys()].some((bucket) => bucket < oldest)) return;
      let dropped = 0;
      for (const [tenant, patterns] of base.tenants) {
        for (const [pattern, buckets] of patterns) {
          for (const bucket of buckets.keys()) {
            if (bucket >= oldest) continue;
            if (dropped === rowsMax) return;
            dropped += 1;
            touched.set(`${tenant}/${pattern}/${bucket}`, { tenant, pattern, bucket, sums: null });
          }
        }
      }
    },
    changes: () =>
      [...touched.values()].map((change) =>
        change.sums !== null && isEmptySums(change.sums) ? { ...change, sums: null } : change,
      ),
  };
}
