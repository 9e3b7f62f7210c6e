/**
 * A shard in memory, for as long as its lease is held: all sums, and the devices seen lately.
 *
 * It only ever holds what a commit has kept. A batch loads what it needs in one
 * round trip, folds into drafts, and hands them back here after the commit; so
 * there is nothing to undo when a commit fails.
 * @module
 */
import { assert, type DeviceKey, deviceName, InvalidConfigError } from "../core/index.ts";
import type { DeviceRecord, Store } from "../store/index.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import { patternsOf } from "./fold-read.ts";
import type { DeviceState, FoldChanges, FoldEntry } from "./fold-state.ts";
import { forgetMarkCount, isForgetMark } from "./forget-mark.ts";
import { applyChanges, type ShardSums, sumsFromRows } from "./merge.ts";
import { decodeRegister, type Register } from "./register.ts";

/** Devices whose every register is read at the same time; each may take a megabyte. */
const WHOLE_AT_ONCE_MAX = 8;

interface Wanted {
  readonly key: DeviceKey;
  readonly patterns: Set<string>;
  whole: boolean;
}

export class ShardState {
  readonly sums: ShardSums;
  readonly #shard: number;
  readonly #store: Store;
  readonly #registersMax: number;
  /** The least recently used first. */
  readonly #devices = new Map<string, DeviceState>();
  readonly #forgotten: Map<string, number>;
  #registerCount = 0;
  #commitNumber: number;

  private constructor(
    shard: number,
    store: Store,
    loaded: { sums: ShardSums; forgotten: Map<string, number>; commitNumber: number },
    registersMax: number,
  ) {
    this.#shard = shard;
    this.#store = store;
    this.sums = loaded.sums;
    this.#forgotten = loaded.forgotten;
    this.#commitNumber = loaded.commitNumber;
    this.#registersMax = registersMax;
  }

  /**
   * Reads the shard; its lease must be held. `registersMax`: registers kept in memory.
   * Throws `InvalidConfigError` when stored sums have another dimension than `policy` says.
   */
  static async load(
    store: Store,
    shard: number,
    policy: FoldPolicy,
    registersMax: number,
  ): Promise<ShardState> {
    const { sums: rows, commitNumber } = await store.loadShard(shard);
    const sums = sumsFromRows(rows.filter((row) => !isForgetMark(row)));
    requireDimensions(sums, policy);
    const forgotten = new Map<string, number>();
    for (const row of rows) {
      if (isForgetMark(row)) forgotten.set(row.tenant, forgetMarkCount(row));
    }
    return new ShardState(shard, store, { sums, forgotten, commitNumber }, registersMax);
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
    for (const [name, { registers }] of this.#devices) {
      if (name.startsWith(`${tenant}/`)) yield registers.values();
    }
  }

  /** Every device of `entries` with every pattern they touch; asks the store for what is not here. */
  async gather(entries: readonly FoldEntry[]): Promise<ReadonlyMap<string, DeviceState>> {
    const found = new Map<string, DeviceState>();
    const partial: { key: DeviceKey; patterns: string[] }[] = [];
    const whole: DeviceKey[] = [];
    for (const [name, { key, patterns, whole: wantsWhole }] of wantedOf(entries)) {
      const cached = this.#devices.get(name);
      if (cached !== undefined) found.set(name, cached);
      if (cached?.whole === true) continue;
      if (wantsWhole) whole.push(key);
      const missing = wantsWhole ? [] : [...patterns].filter((id) => !cached?.registers.has(id));
      if (cached === undefined || missing.length > 0) partial.push({ key, patterns: missing });
    }
    if (partial.length > 0) {
      const records = await this.#store.loadDevices(this.#shard, partial);
      for (const [index, { key, patterns }] of partial.entries()) {
        const record = records[index];
        assert(record !== undefined, "the store answers for every device it was asked about");
        const name = deviceName(key);
        found.set(name, extend(found.get(name), record, patterns));
      }
    }
    for (let at = 0; at < whole.length; at += WHOLE_AT_ONCE_MAX) {
      await Promise.all(
        whole.slice(at, at + WHOLE_AT_ONCE_MAX).map(async (key) => {
          const registers = decodeAll(await this.#store.registers(key));
          const cursor = found.get(deviceName(key))?.cursor ?? null;
          found.set(deviceName(key), { cursor, registers, whole: true });
        }),
      );
    }
    return found;
  }

  /** Takes over what a commit has kept; `gathered` is what its batch started from. */
  keep(changes: FoldChanges, gathered: ReadonlyMap<string, DeviceState>): void {
    this.#commitNumber += 1;
    applyChanges(this.sums, changes.sums);
    for (const [name, device] of gathered) this.#cache(name, changes.devices.get(name) ?? device);
    for (const name of this.#devices.keys()) {
      if (this.#registerCount <= this.#registersMax) break;
      this.#uncache(name);
    }
  }

  /** Takes over the commit that forgot a device. */
  keepForgotten(key: DeviceKey, changes: FoldChanges): void {
    this.#commitNumber += 1;
    applyChanges(this.sums, changes.sums);
    this.#forgotten.set(key.tenant, this.forgottenCount(key.tenant) + 1);
    this.#uncache(deviceName(key));
  }

  #cache(name: string, device: DeviceState): void {
    this.#uncache(name);
    this.#devices.set(name, device);
    this.#registerCount += 1 + device.registers.size;
  }

  #uncache(name: string): void {
    const device = this.#devices.get(name);
    if (device === undefined) return;
    this.#devices.delete(name);
    this.#registerCount -= 1 + device.registers.size;
  }
}

/** A removal makes a tombstone, and bounding those takes the whole device. */
function wantedOf(entries: readonly FoldEntry[]): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const { key, read } of entries) {
    const name = deviceName(key);
    const device = wanted.get(name) ?? { key, patterns: new Set<string>(), whole: false };
    wanted.set(name, device);
    for (const id of patternsOf(read)) device.patterns.add(id);
    if (read.kind === "delta" && read.delta.removals.length > 0) device.whole = true;
  }
  return wanted;
}

/** `known` plus what was asked of the store; an asked pattern without a register is known to be null. */
function extend(
  known: DeviceState | undefined,
  record: DeviceRecord,
  asked: readonly string[],
): DeviceState {
  const registers = new Map(known?.registers);
  for (const pattern of asked) {
    const blob = record.registers.get(pattern);
    registers.set(pattern, blob === undefined ? null : decodeRegister(blob));
  }
  return { cursor: record.cursor, registers, whole: false };
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
