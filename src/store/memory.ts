/**
 * The store in memory: the model that every other adapter must equal.
 *
 * It keeps plain structures and clones whatever crosses the port, so that nobody
 * can change what was stored by changing what they handed in. It says what the
 * contract means in the fewest words; it survives nothing.
 * @module
 */
import {
  assert,
  type Clock,
  type DeviceKey,
  deviceName,
  sameBytes,
  shardOf,
  systemClock,
} from "../core/index.ts";
import type { Ladder } from "../wire/index.ts";
import { checkCommit, requireKey, requireName, requireShard } from "./commit-check.ts";
import { devicesToTell, Listeners, modelEvent, problemEvents, releaseEvent } from "./events.ts";
import { encodeStoredModel, requireStoredModel } from "./model-records.ts";
import { type ResolvedStoreOptions, resolveStoreOptions, type StoreOptions } from "./options.ts";
import {
  type Commit,
  type CurrentLadders,
  type DeadLetter,
  type DeviceCursor,
  type DeviceRecord,
  type LoadedShard,
  type RecentRelease,
  releaserLease,
  type ShardStats,
  type ShardSums,
  type Store,
  type StoredModel,
  type StoredRelease,
  type StoreListener,
  type SumRow,
  shardLease,
} from "./port.ts";
import { requireOk } from "./refusals.ts";
import { requireStoredRelease } from "./release-check.ts";

export interface MemoryStoreOptions extends StoreOptions {
  /** Leases expire by its `monotonicMs`. */
  readonly clock?: Clock;
}

interface Lease {
  token: number;
  owner: string;
  expiresAtMs: number;
}

interface Device {
  cursor: DeviceCursor;
  readonly registers: Map<string, Uint8Array>;
}

interface Shard {
  number: number;
  token: number;
  readonly sums: Map<string, SumRow>;
  readonly devices: Map<string, Device>;
  /** By id, oldest first. */
  readonly deadLetters: Map<string, DeadLetter>;
  stats: ShardStats;
}

interface Releases {
  token: number;
  ladders: CurrentLadders;
  /** Newest first. */
  releases: RecentRelease[];
}

class MemoryStore implements Store {
  readonly #options: ResolvedStoreOptions;
  readonly #clock: Clock;
  readonly #leases = new Map<string, Lease>();
  readonly #shards: Shard[];
  readonly #releases = new Map<string, Releases>();
  /** By tenant, newest first; never empty. */
  readonly #models = new Map<string, StoredModel[]>();
  readonly #listeners = new Listeners(() => {});

  constructor(options: ResolvedStoreOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#shards = Array.from({ length: options.shards }, newShard);
  }

  get shards(): number {
    return this.#options.shards;
  }

  async acquireLease(name: string, owner: string, ttlMs: number): Promise<number | null> {
    const held = this.#leases.get(name);
    const nowMs = this.#clock.monotonicMs();
    if (held && held.expiresAtMs > nowMs && held.owner !== owner) return null;
    const token = (held?.token ?? 0) + 1;
    this.#leases.set(name, { token, owner, expiresAtMs: nowMs + ttlMs });
    return token;
  }

  async renewLease(name: string, token: number, ttlMs: number): Promise<boolean> {
    const held = this.#leases.get(name);
    if (!held || !this.#holds(name, token)) return false;
    held.expiresAtMs = this.#clock.monotonicMs() + ttlMs;
    return true;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    const held = this.#leases.get(name);
    // The entry stays, so that the next token still rises.
    if (held && this.#holds(name, token)) held.expiresAtMs = Number.NEGATIVE_INFINITY;
  }

  async loadShard(shard: number): Promise<LoadedShard> {
    const { sums, number } = this.#shard(shard);
    return { sums: structuredClone([...sums.values()]), commitNumber: number };
  }

  async loadDevices(
    shard: number,
    wanted: readonly { readonly key: DeviceKey; readonly patterns: readonly string[] }[],
  ): Promise<DeviceRecord[]> {
    const { devices } = this.#shard(shard);
    return wanted.map(({ key, patterns }) => {
      const device = devices.get(deviceName(key));
      const registers = new Map<string, Uint8Array>();
      for (const pattern of patterns) {
        const blob = device?.registers.get(pattern);
        if (blob) registers.set(pattern, blob);
      }
      return structuredClone({ cursor: device?.cursor ?? null, registers });
    });
  }

  async registers(key: DeviceKey): Promise<Map<string, Uint8Array>> {
    return structuredClone(this.#home(key).devices.get(deviceName(key))?.registers ?? new Map());
  }

  async commit(shard: number, token: number, number: number, commit: Commit): Promise<void> {
    const state = this.#shard(shard);
    checkCommit(shard, this.shards, commit);
    if (state.number === number && state.token === token) return;
    const detail = { shard, token, number };
    requireOk(this.#holds(shardLease(shard), token) ? "ok" : "lease.lost", detail);
    requireOk(number === state.number + 1 ? "ok" : "commit.order", detail);
    this.#apply(state, structuredClone(commit));
    state.number = number;
    state.token = token;
    for (const event of problemEvents(devicesToTell(commit))) this.#listeners.dispatch(event);
  }

  async forget(shard: number, token: number, key: DeviceKey): Promise<void> {
    requireKey(key);
    const state = this.#shard(shard);
    requireOk(this.#holds(shardLease(shard), token) ? "ok" : "lease.lost", { shard, token });
    state.devices.delete(deviceName(key));
  }

  async stats(shard: number): Promise<ShardStats> {
    return { ...this.#shard(shard).stats };
  }

  async dropDeadLetters(shard: number, ids: readonly string[]): Promise<number> {
    const { deadLetters } = this.#shard(shard);
    return ids.filter((id) => deadLetters.delete(id)).length;
  }

  async deadLetters(shard: number, limit: number): Promise<DeadLetter[]> {
    return structuredClone([...this.#shard(shard).deadLetters.values()].reverse().slice(0, limit));
  }

  async cursors(keys: readonly DeviceKey[]): Promise<(DeviceCursor | null)[]> {
    return keys.map((key) =>
      structuredClone(this.#home(key).devices.get(deviceName(key))?.cursor ?? null),
    );
  }

  async tenants(): Promise<string[]> {
    const names = new Set(this.#releases.keys());
    for (const { sums } of this.#shards) for (const row of sums.values()) names.add(row.tenant);
    return [...names].sort();
  }

  async loadTenantSums(tenant: string): Promise<ShardSums[]> {
    return this.#shards.map(({ sums }, shard) => {
      const rows = [...sums.values()].filter((row) => row.tenant === tenant);
      return { shard, rows: structuredClone(rows) };
    });
  }

  async publishRelease(tenant: string, token: number, stored: StoredRelease): Promise<void> {
    requireName("tenant", tenant);
    requireStoredRelease(tenant, stored);
    const { release, ladder, rendition1 } = structuredClone(stored);
    const current = this.#releases.get(tenant);
    if (current && isSameRelease(current, token, ladder)) return;
    const detail = { tenant, token, version: release.version };
    requireOk(this.#holds(releaserLease(tenant), token) ? "ok" : "lease.lost", detail);
    const next = (current?.ladders.ladder.version ?? 0) + 1;
    requireOk(release.version === next ? "ok" : "release.version", detail);
    const recent = { release, release1: rendition1?.release ?? null };
    const releases = [recent, ...(current?.releases ?? [])].slice(0, this.#options.releasesKept);
    const ladders = { ladder, ladder1: rendition1?.ladder ?? null };
    this.#releases.set(tenant, { token, ladders, releases });
    this.#listeners.dispatch(releaseEvent(tenant, release.version));
  }

  async currentRelease(tenant: string): Promise<CurrentLadders | null> {
    return structuredClone(this.#releases.get(tenant)?.ladders ?? null);
  }

  async recentReleases(tenant: string): Promise<RecentRelease[]> {
    return structuredClone(this.#releases.get(tenant)?.releases ?? []);
  }

  async putModel(tenant: string, token: number, model: StoredModel): Promise<void> {
    requireName("tenant", tenant);
    requireStoredModel(model);
    const { version } = model;
    const kept = this.#models.get(tenant) ?? [];
    const known = kept.find((other) => other.version === version);
    if (known && sameBytes(encodeStoredModel(known), encodeStoredModel(model))) return;
    const detail = { tenant, token, version };
    requireOk(this.#holds(releaserLease(tenant), token) ? "ok" : "lease.lost", detail);
    requireOk(version === (kept[0]?.version ?? 0) + 1 ? "ok" : "model.order", detail);
    this.#models.set(tenant, [structuredClone(model), ...kept]);
    this.#listeners.dispatch(modelEvent(tenant, version));
  }

  async models(tenant: string): Promise<StoredModel[]> {
    requireName("tenant", tenant);
    return structuredClone(this.#models.get(tenant) ?? []);
  }

  async model(tenant: string, version: number): Promise<Uint8Array | null> {
    const models = await this.models(tenant);
    return models.find((model) => model.version === version)?.bytes ?? null;
  }

  async dropModels(tenant: string, token: number, versions: readonly number[]): Promise<void> {
    requireName("tenant", tenant);
    requireOk(this.#holds(releaserLease(tenant), token) ? "ok" : "lease.lost", { tenant, token });
    const [newest, ...rest] = this.#models.get(tenant) ?? [];
    if (newest === undefined) return;
    const kept = rest.filter(({ version }) => !versions.includes(version));
    this.#models.set(tenant, [newest, ...kept]);
  }

  async watch(listener: StoreListener): Promise<() => Promise<void>> {
    const remove = this.#listeners.add(listener);
    for (const [tenant, { ladders }] of this.#releases) {
      listener.onRelease(tenant, ladders.ladder.version);
    }
    for (const [tenant, [newest]] of this.#models) listener.onModel?.(tenant, newest?.version ?? 0);
    return async () => remove();
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #holds(name: string, token: number): boolean {
    const held = this.#leases.get(name);
    return held?.token === token && held.expiresAtMs > this.#clock.monotonicMs();
  }

  #shard(shard: number): Shard {
    requireShard(shard, this.shards);
    const state = this.#shards[shard];
    assert(state, "a checked shard exists");
    return state;
  }

  #home(key: DeviceKey): Shard {
    requireKey(key);
    return this.#shard(shardOf(key, this.shards));
  }

  #apply(state: Shard, commit: Commit): void {
    for (const row of commit.sums) {
      const name = `${row.tenant}/${row.pattern}/${row.bucket}`;
      if (row.blob === null) state.sums.delete(name);
      else state.sums.set(name, row);
    }
    for (const { key, cursor, registers } of commit.devices) {
      const device = state.devices.get(deviceName(key)) ?? { cursor, registers: new Map() };
      device.cursor = cursor;
      state.devices.set(deviceName(key), device);
      for (const [pattern, blob] of registers) {
        if (blob === null) device.registers.delete(pattern);
        else device.registers.set(pattern, blob);
      }
    }
    const known = this.#keepDeadLetters(state, commit.deadLetters);
    const moved = Math.min(known, commit.stats.deadLettered);
    state.stats = {
      applied: state.stats.applied + commit.stats.applied,
      duplicates: state.stats.duplicates + commit.stats.duplicates + moved,
      deadLettered: state.stats.deadLettered + commit.stats.deadLettered - moved,
    };
  }

  /** Answers how many were kept already. */
  #keepDeadLetters(state: Shard, letters: readonly DeadLetter[]): number {
    let known = 0;
    for (const letter of letters) {
      if (state.deadLetters.has(letter.id)) known += 1;
      else state.deadLetters.set(letter.id, letter);
    }
    const surplus = state.deadLetters.size - this.#options.deadLettersKept;
    for (const id of [...state.deadLetters.keys()].slice(0, Math.max(0, surplus))) {
      state.deadLetters.delete(id);
    }
    return known;
  }
}

/** A store that lives as long as this object. Throws `InvalidConfigError` on options out of range. */
export function memoryStore(options: MemoryStoreOptions): Store {
  return new MemoryStore(resolveStoreOptions(options), options.clock ?? systemClock);
}

function newShard(): Shard {
  const stats = { applied: 0, duplicates: 0, deadLettered: 0 };
  return {
    number: 0,
    token: 0,
    sums: new Map(),
    devices: new Map(),
    deadLetters: new Map(),
    stats,
  };
}

function isSameRelease(current: Releases, token: number, ladder: Ladder): boolean {
  return (
    current.token === token &&
    current.ladders.ladder.version === ladder.version &&
    Buffer.compare(current.ladders.ladder.contentHash, ladder.contentHash) === 0
  );
}
