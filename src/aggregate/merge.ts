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
  exchange,
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

/** One pattern in a draft: its rows that the draft touched, over those of the base. */
interface PatternDraft {
  readonly base: Buckets | null;
  /** One for each bucket touched, of which there are few. */
  readonly rows: RowDraft[];
  /** The base has no sums for it, the draft has. */
  added: boolean;
}

/** A {@link SumChange} in the making. */
type RowDraft = { -readonly [Key in keyof SumChange]: SumChange[Key] };

interface TenantDraft {
  readonly base: ReadonlyMap<string, Buckets> | null;
  readonly patterns: Map<string, PatternDraft>;
  /** Patterns that the base has not. */
  added: number;
}

class Draft implements SumsDraft {
  readonly #base: ShardSums;
  readonly #tenants = new Map<string, TenantDraft>();
  /** In the order of their first touch. */
  readonly #touched: RowDraft[] = [];

  constructor(base: ShardSums) {
    this.#base = base;
  }

  hasPattern(tenant: string, pattern: string): boolean {
    const { base, patterns } = this.#tenant(tenant);
    return base?.has(pattern) === true || patterns.get(pattern)?.added === true;
  }

  patternCount(tenant: string): number {
    const { base, added } = this.#tenant(tenant);
    return (base?.size ?? 0) + added;
  }

  hasTenant(tenant: string): boolean {
    return this.#base.tenants.has(tenant) || this.#tenant(tenant).added > 0;
  }

  tenantCount(): number {
    let fresh = 0;
    for (const { base, added } of this.#tenants.values())
      if (base === null && added > 0) fresh += 1;
    return this.#base.tenants.size + fresh;
  }

  replace(tenant: string, pattern: string, before: Register | null, after: Register | null): void {
    const taken = before?.kind === "live" ? before : null;
    const given = after?.kind === "live" ? after : null;
    const old = taken === null ? null : this.#touch(tenant, pattern, taken.bucket);
    if (taken !== null && given !== null && old !== null && taken.bucket === given.bucket) {
      exchange(old, taken, given);
      return;
    }
    if (taken !== null && old !== null) contribute(old, taken, -1);
    if (given !== null) contribute(this.#rowFor(tenant, pattern, given), given, 1);
  }

  dropBefore(oldest: number, rowsMax: number): void {
    if (![...this.#base.rowsByBucket.keys()].some((bucket) => bucket < oldest)) return;
    let dropped = 0;
    for (const [tenant, patterns] of this.#base.tenants) {
      for (const [pattern, buckets] of patterns) {
        for (const bucket of buckets.keys()) {
          if (bucket >= oldest) continue;
          if (dropped === rowsMax) return;
          dropped += 1;
          this.#set(tenant, pattern, bucket, null);
        }
      }
    }
  }

  changes(): SumChange[] {
    return this.#touched.map((change) =>
      change.sums !== null && isEmptySums(change.sums) ? { ...change, sums: null } : change,
    );
  }

  #tenant(tenant: string): TenantDraft {
    let draft = this.#tenants.get(tenant);
    if (draft === undefined) {
      const base = this.#base.tenants.get(tenant) ?? null;
      draft = { base, patterns: new Map(), added: 0 };
      this.#tenants.set(tenant, draft);
    }
    return draft;
  }

  #pattern(tenant: string, pattern: string): PatternDraft {
    const { base, patterns } = this.#tenant(tenant);
    let draft = patterns.get(pattern);
    if (draft === undefined) {
      draft = { base: base?.get(pattern) ?? null, rows: [], added: false };
      patterns.set(pattern, draft);
    }
    return draft;
  }

  /** The draft's own copy of a row; null when it does not exist. */
  #touch(tenant: string, pattern: string, bucket: number): PatternSums | null {
    const { base, rows } = this.#pattern(tenant, pattern);
    const known = rowOf(rows, bucket);
    if (known !== undefined) return known.sums;
    const row = base?.get(bucket);
    return row === undefined ? null : this.#set(tenant, pattern, bucket, copySums(row));
  }

  /** The row that `register` adds to, made when there is none. */
  #rowFor(tenant: string, pattern: string, { bucket, vector }: LiveRegister): PatternSums {
    const row = this.#touch(tenant, pattern, bucket);
    if (row !== null) return row;
    const draft = this.#pattern(tenant, pattern);
    if (draft.base === null && !draft.added) {
      draft.added = true;
      this.#tenant(tenant).added += 1;
    }
    return this.#set(tenant, pattern, bucket, emptySums(vector.length));
  }

  #set<Sums extends PatternSums | null>(
    tenant: string,
    pattern: string,
    bucket: number,
    sums: Sums,
  ): Sums {
    const { rows } = this.#pattern(tenant, pattern);
    const known = rowOf(rows, bucket);
    if (known !== undefined) known.sums = sums;
    else {
      const row = { tenant, pattern, bucket, sums };
      rows.push(row);
      this.#touched.push(row);
    }
    return sums;
  }
}

function rowOf(rows: readonly RowDraft[], bucket: number): RowDraft | undefined {
  for (const row of rows) if (row.bucket === bucket) return row;
  return undefined;
}

export function draftOf(base: ShardSums): SumsDraft {
  return new Draft(base);
}
