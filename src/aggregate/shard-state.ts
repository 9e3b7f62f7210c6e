/**
 * A shard in memory, for as long as its lease is held: all sums, and devices seen lately (device-cache.ts).
 *
 * It only ever holds what a commit has kept. A batch loads what it needs in one
 * round trip, folds into drafts, and hands them back here after the commit; so
 * there is nothing to undo when a commit fails.
 * @module
 */
import { assert, type DeviceKey, deviceName, InvalidConfigError } from "../core/index.ts";
import type { DeviceRecord, Store } from "../store/index.ts";
import type { CachedDevice, DeviceCache } from "./device-cache.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { FoldChanges, FoldEntry } from "./fold-state.ts";
import { forgetMarkCount, isForgetMark } from "./forget-mark.ts";
import { applyChanges, type ShardSums, sumsFromRows } from "./merge.ts";
import { decodeRegister, type Register } from "./register.ts";

/** Devices whose every register is read at the same time; each may take a megabyte. */
const WHOLE_AT_ONCE_MAX = 8;

interface Wanted {
  readonly key: DeviceKey;
  /** What is in memory of it. */
  readonly cached: CachedDevice | undefined;
  /** Patterns that are not; null: none. */
  missing: Set<string> | null;
  whole: boolean;
}

export class ShardState {
  readonly sums: ShardSums;
  readonly #shard: number;
  readonly #store: Store;
  /** Shared with the other shards of the process. */
  readonly #cache: DeviceCache;
  readonly #forgotten: Map<string, number>;
  #commitNumber: number;

  private constructor(
    shard: number,
    store: Store,
    loaded: { sums: ShardSums; forgotten: Map<string, number>; commitNumber: number },
    cache: DeviceCache,
  ) {
    this.#shard = shard;
    this.#store = store;
    this.sums = loaded.sums;
    this.#forgotten = loaded.forgotten;
    this.#commitNumber = loaded.commitNumber;
    this.#cache = cache;
  }

  /**
   * Reads the shard; its lease must be held. `cache`: where its devices are kept in memory.
   * Throws `InvalidConfigError` when stored sums have another dimension than `policy` says.
   */
  static async load(
    store: Store,
    shard: number,
    policy: FoldPolicy,
    cache: DeviceCache,
  ): Promise<ShardState> {
    const { sums: rows, commitNumber } = await store.loadShard(shard);
    const sums = sumsFromRows(rows.filter((row) => !isForgetMark(row)));
    requireDimensions(sums, policy);
    const forgotten = new Map<string, number>();
    for (const row of rows) {
      if (isForgetMark(row)) forgotten.set(row.tenant, forgetMarkCount(row));
    }
    return new ShardState(shard, store, { sums, forgotten, commitNumber }, cache);
  }

  /** The number the next commit carries. */
  get nextCommitNumber(): number {
    return this.#commitNumber + 1;
  }

  /** Devices of `tenant` that were forgotten on this shard. */
  forgottenCount(tenant: string): number {
    return this.#forgotten.get(tenant) ?? 0;
  }

  /** The registers of each device of `tenant` that is in memory. */
  *registersOf(tenant: string): Generator<Iterable<Register | null>> {
    for (const [name, { registers }] of this.#cache.of(this)) {
      if (name.startsWith(`${tenant}/`)) yield registers.values();
    }
  }

  /** Every device of `entries` with every pattern they touch; asks the store for what is not here. */
  async gather(entries: readonly FoldEntry[]): Promise<ReadonlyMap<string, CachedDevice>> {
    const found = new Map<string, CachedDevice>();
    const partial: { name: string; key: DeviceKey; patterns: string[] }[] = [];
    const whole: [string, DeviceKey][] = [];
    for (const [name, { key, cached, missing, whole: wantsWhole }] of this.#wantedOf(entries)) {
      found.set(name, cached ?? { cursor: null, registers: new Map(), whole: false });
      if (cached?.whole === true) continue;
      if (wantsWhole) whole.push([name, key]);
      const patterns = wantsWhole || missing === null ? [] : [...missing];
      if (cached === undefined || patterns.length > 0) partial.push({ name, key, patterns });
    }
    if (partial.length > 0) {
      const records = await this.#store.loadDevices(this.#shard, partial);
      for (const [index, { name, patterns }] of partial.entries()) {
        const record = records[index];
        const device = found.get(name);
        assert(record && device, "the store answers for every device it was asked about");
        extend(device, record, patterns);
        // It has grown, whatever comes of the batch.
        if (this.#cache.find(this, name) === device) this.#cache.keep(this, name, device);
      }
    }
    for (let at = 0; at < whole.length; at += WHOLE_AT_ONCE_MAX) {
      await Promise.all(
        whole.slice(at, at + WHOLE_AT_ONCE_MAX).map(async ([name, key]) => {
          const registers = decodeAll(await this.#store.registers(key));
          const cursor = found.get(name)?.cursor ?? null;
          found.set(name, { cursor, registers, whole: true });
        }),
      );
    }
    return found;
  }

  /** A removal makes a tombstone, and bounding those takes the whole device. */
  #wantedOf(entries: readonly FoldEntry[]): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>();
    for (const { key, name, read } of entries) {
      let device = wanted.get(name);
      if (device === undefined) {
        device = { key, cached: this.#cache.find(this, name), missing: null, whole: false };
        wanted.set(name, device);
      }
      if (read.kind === "refused") continue;
      const { upserts, removals } = read.delta;
      for (const { id } of upserts) want(device, id);
      for (const id of removals) want(device, id);
      if (removals.length > 0) device.whole = true;
    }
    return wanted;
  }

  /** Takes over what a commit has kept; `gathered` is what its batch started from. */
  keep(changes: FoldChanges, gathered: ReadonlyMap<string, CachedDevice>): void {
    this.#commitNumber += 1;
    applyChanges(this.sums, changes.sums);
    for (const [name, device] of gathered) {
      const change = changes.devices.get(name);
      if (change !== undefined) {
        device.cursor = change.cursor;
        change.registers.forEach((register, pattern) => {
          device.registers.set(pattern, register);
        });
      }
      this.#cache.keep(this, name, device);
    }
  }

  /** Takes over the commit that forgot a device. */
  keepForgotten(key: DeviceKey, changes: FoldChanges): void {
    this.#commitNumber += 1;
    applyChanges(this.sums, changes.sums);
    this.#forgotten.set(key.tenant, this.forgottenCount(key.tenant) + 1);
    this.#cache.forget(this, deviceName(key));
  }

  /** Forgets the devices: the shard is not written here any more. */
  close(): void {
    this.#cache.drop(this);
  }
}

function want(device: Wanted, pattern: string): void {
  if (device.cached?.registers.has(pattern) === true) return;
  device.missing ??= new Set();
  device.missing.add(pattern);
}

/** Adds to `device` what was asked of the store; an asked pattern without a register is known to be null. */
function extend(device: CachedDevice, record: DeviceRecord, asked: readonly string[]): void {
  device.cursor = record.cursor;
  for (const pattern of asked) {
    const blob = record.registers.get(pattern);
    device.registers.set(pattern, blob === undefined ? null : decodeRegister(blob));
  }
}

/** Registers by pattern id, decoded. Throws `SerializationError("record.register")`. */
export function decodeAll(blobs: ReadonlyMap<string, Uint8Array>): Map<string, Register> {
  return new Map([...blobs].map(([pattern, blob]) => [pattern, decodeRegister(blob)]));
}

function requireDimensions(sums: ShardSums, policy: FoldPolicy): void {
  const faults: string[] = [];
  for (const [tenant, patterns] of sums.tenants) {
    const dim = policy.dimOf(tenant);
    const [buckets] = patterns.values();
    const [row] = buckets?.values() ?? [];
    if (row === undefined || row.dim === dim) continue;
    faults.push(`tenant ${tenant} has sums of dimension ${row.dim}, configured is ${dim}`);
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
}
