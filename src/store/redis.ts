/**
 * The store in Redis.
 *
 * Redis must run with an append-only file and `noeviction`: without the first a
 * restart forgets everything, without the second it may forget anything. A kill -9
 * of Redis loses nothing that it answered only with `appendfsync always`:
 * "everysec" puts a write off for up to two seconds while an earlier fsync is
 * under way (`aof_pending_bio_fsync`), and 2 of 20 kills under load lost answered
 * writes. A fail-over to a replica may lose some in either case: what is left is always a
 * beginning of what was answered, in whole commits. With `replicas` nothing that anyone relies on
 * is in what may be lost (docs/durability.md). Layout: redis-keys.ts. Atomic steps:
 * redis-commit.ts, commit-script.ts, publish-scripts.ts.
 * @module
 */
import {
  type Clock,
  type DeviceKey,
  InvalidConfigError,
  type Random,
  shardOf,
  systemClock,
  systemRandom,
} from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import { checkCommit, requireKey, requireName, requireShard } from "./commit-check.ts";
import {
  acquireScript,
  dropDeadLettersScript,
  fieldOfEachScript,
  forgetScript,
  releaseScript,
  renewScript,
} from "./commit-script.ts";
import { HashWriter } from "./hash-write.ts";
import {
  LEASE_AHEAD_MS_MAX,
  type ResolvedStoreOptions,
  resolveStoreOptions,
  type StoreOptions,
} from "./options.ts";
import {
  type Commit,
  type CurrentLadders,
  type DeadLetter,
  type DeviceCursor,
  type DeviceRecord,
  type LoadedShard,
  type RecentRelease,
  type ShardStats,
  type ShardSums,
  type Store,
  type StoredModel,
  type StoredRelease,
  type StoreListener,
  type SumRow,
  shardLease,
} from "./port.ts";
import { decodeCursor, decodeDeadLetter } from "./records.ts";
import { commitCommands } from "./redis-commit.ts";
import { RedisConnection, type RedisConnectionOptions } from "./redis-connection.ts";
import { CURSOR_FIELD, type RedisKeys, redisKeys } from "./redis-keys.ts";
import { RedisModels } from "./redis-models.ts";
import { RedisReleases } from "./redis-releases.ts";
import { toBytes, toNumber, toPairs, toSumRow, toTexts } from "./redis-replies.ts";
import { openRedisLink } from "./redis-watch.ts";
import { requireOk } from "./refusals.ts";
import { type NotificationSource, Watch } from "./watch.ts";

export interface RedisStoreOptions extends StoreOptions {
  /** As `src/redis/address.ts` reads it: one server, a cluster, or what Sentinels call the master. */
  readonly url: string;
  readonly log: Logger;
  /** The first part of every key; "omega" by default. */
  readonly prefix?: string;
  /** The longest wait for one answer, milliseconds; 5,000 by default. */
  readonly timeoutMs?: number;
  /** Replicas that must have what others will rely on before it is said to be done; 0, the default, for none. */
  readonly replicas?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const TIMEOUT_MS_DEFAULT = 5_000;
/** Rows asked for at once when a shard is loaded: a few megabytes per answer. */
const SCAN_COUNT = 1_000;
/** One script may ask for so many devices: Redis does nothing else meanwhile. */
const CURSORS_AT_ONCE_MAX = 256;

/** A device among those whose cursors are asked for. */
interface Place {
  readonly index: number;
  readonly hash: string;
}

class RedisStore implements Store {
  readonly #options: ResolvedStoreOptions;
  readonly #keys: RedisKeys;
  readonly #redis: RedisConnection;
  readonly #models: RedisModels;
  readonly #releases: RedisReleases;
  readonly #watch: Watch;

  constructor(
    options: ResolvedStoreOptions,
    keys: RedisKeys,
    redis: RedisConnection,
    watching: RedisConnectionOptions & { readonly clock: Clock },
  ) {
    this.#options = options;
    this.#keys = keys;
    this.#redis = redis;
    this.#models = new RedisModels(redis, keys);
    this.#releases = new RedisReleases(redis, keys, options.releasesKept);
    const source: NotificationSource = {
      open: (onEvent, onLost) => openRedisLink(watching, keys.channel, onEvent, onLost),
      releaseVersions: () => this.#releases.versions(),
      modelVersions: () => this.#models.versions(),
    };
    this.#watch = new Watch({ ...watching, source });
  }

  get shards(): number {
    return this.#options.shards;
  }

  async acquireLease(name: string, owner: string, ttlMs: number): Promise<number | null> {
    const keys = this.#keys.lease(name);
    // No token that a fail-over could lose is ever used, so that none is given twice.
    const token = await this.#redis.held(() =>
      this.#redis.run(acquireScript, keys, [owner, Math.ceil(ttlMs), LEASE_AHEAD_MS_MAX]),
    );
    return token === null ? null : toNumber(token);
  }

  async renewLease(name: string, token: number, ttlMs: number): Promise<boolean> {
    const [lease] = this.#keys.lease(name);
    return (await this.#redis.run(renewScript, [lease], [token, Math.ceil(ttlMs)])) === 1;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    await this.#redis.run(releaseScript, [this.#keys.lease(name)[0]], [token]);
  }

  async loadShard(shard: number): Promise<LoadedShard> {
    requireShard(shard, this.shards);
    const [number, tenants] = await this.#redis.callAll([
      ["HGET", this.#keys.commit(shard), "number"],
      ["SMEMBERS", this.#keys.tenants(shard)],
    ]);
    const sums: SumRow[] = [];
    for (const tenant of toTexts(tenants)) sums.push(...(await this.#scanSums(shard, tenant)));
    return { sums, commitNumber: toNumber(number) };
  }

  async loadDevices(
    shard: number,
    wanted: readonly { readonly key: DeviceKey; readonly patterns: readonly string[] }[],
  ): Promise<DeviceRecord[]> {
    requireShard(shard, this.shards);
    const answers = await this.#redis.callAll(
      wanted.map(({ key, patterns }) => {
        requireKey(key);
        return ["HMGET", this.#keys.device(shard, key), CURSOR_FIELD, ...patterns] as const;
      }),
    );
    return answers.map((answer, index) => {
      const [cursor, ...blobs] = answer as (Buffer | null)[];
      const registers = new Map<string, Uint8Array>();
      for (const [at, pattern] of (wanted[index]?.patterns ?? []).entries()) {
        const blob = blobs[at];
        if (blob) registers.set(pattern, toBytes(blob));
      }
      return { cursor: cursor ? decodeCursor(cursor) : null, registers };
    });
  }

  async registers(key: DeviceKey): Promise<Map<string, Uint8Array>> {
    requireKey(key);
    const device = this.#keys.device(shardOf(key, this.shards), key);
    const registers = new Map<string, Uint8Array>();
    for (const [field, blob] of toPairs(await this.#redis.call("HGETALL", [device]))) {
      if (field !== CURSOR_FIELD) registers.set(field, toBytes(blob));
    }
    return registers;
  }

  async commit(shard: number, token: number, number: number, commit: Commit): Promise<void> {
    requireShard(shard, this.shards);
    checkCommit(shard, this.shards, commit);
    const at = { shard, token, number, deadLettersKept: this.#options.deadLettersKept };
    const writer = new HashWriter();
    const commands = commitCommands(this.#keys, at, commit, writer);
    // P6: devices take a watermark for a PUBACK, and a gateway may read it the moment it is there. So
    // the jobs it speaks of must outlive a fail-over first.
    await this.#redis.held(async () => {});
    // P2: and it must outlive one before its jobs may go, wherever the queue is told.
    await this.#redis.held(async () => {
      requireOk(await this.#redis.guarded(commands), { shard, token, number });
    });
    writer.release();
  }

  async forget(shard: number, token: number, key: DeviceKey): Promise<void> {
    requireShard(shard, this.shards);
    requireKey(key);
    const keys = [this.#keys.lease(shardLease(shard))[0], this.#keys.device(shard, key)];
    await this.#redis.held(async () => {
      requireOk(String(await this.#redis.run(forgetScript, keys, [token])), { shard, token });
    });
  }

  async stats(shard: number): Promise<ShardStats> {
    requireShard(shard, this.shards);
    const fields = ["applied", "duplicates", "deadLettered"];
    const values = await this.#redis.call("HMGET", [this.#keys.stats(shard), ...fields]);
    const [applied = 0, duplicates = 0, deadLettered = 0] = (values as unknown[]).map(toNumber);
    return { applied, duplicates, deadLettered };
  }

  async deadLetters(shard: number, limit: number): Promise<DeadLetter[]> {
    requireShard(shard, this.shards);
    if (limit < 1) return [];
    const ids = await this.#redis.call("LRANGE", [this.#keys.deadOrder(shard), 0, limit - 1]);
    const wanted = toTexts(ids);
    if (wanted.length === 0) return [];
    const blobs = await this.#redis.call("HMGET", [this.#keys.dead(shard), ...wanted]);
    // One that was trimmed between the two calls is null.
    return (blobs as (Buffer | null)[]).flatMap((blob) => (blob ? [decodeDeadLetter(blob)] : []));
  }

  async dropDeadLetters(shard: number, ids: readonly string[]): Promise<number> {
    requireShard(shard, this.shards);
    const keys = [this.#keys.dead(shard), this.#keys.deadOrder(shard)];
    return Number(await this.#redis.run(dropDeadLettersScript, keys, ids));
  }

  async cursors(keys: readonly DeviceKey[]): Promise<(DeviceCursor | null)[]> {
    const found = new Array<DeviceCursor | null>(keys.length).fill(null);
    await Promise.all(this.#portions(keys).map((portion) => this.#readCursors(portion, found)));
    return found;
  }

  /** Where the devices of `keys` stand, shard by shard, as many as one command asks for. */
  #portions(keys: readonly DeviceKey[]): Place[][] {
    const portions: Place[][] = [];
    const open = new Map<number, Place[]>();
    for (const [index, key] of keys.entries()) {
      requireKey(key);
      const shard = shardOf(key, this.shards);
      let portion = open.get(shard);
      if (portion === undefined || portion.length === CURSORS_AT_ONCE_MAX) {
        portion = [];
        open.set(shard, portion);
        portions.push(portion);
      }
      portion.push({ index, hash: this.#keys.device(shard, key) });
    }
    return portions;
  }

  async #readCursors(portion: readonly Place[], found: (DeviceCursor | null)[]): Promise<void> {
    const hashes = portion.map(({ hash }) => hash);
    const blobs = await this.#redis.run(fieldOfEachScript, hashes, [CURSOR_FIELD]);
    for (const [at, { index }] of portion.entries()) {
      const blob = (blobs as (Buffer | null)[])[at];
      if (blob) found[index] = decodeCursor(blob);
    }
  }

  async tenants(): Promise<string[]> {
    const [released, sets] = await Promise.all([
      this.#releases.versions(),
      this.#redis.callAll(
        this.#eachShard((shard) => ["SMEMBERS", this.#keys.tenants(shard)] as const),
      ),
    ]);
    return [...new Set([...released.keys(), ...sets.flatMap(toTexts)])].sort();
  }

  async loadTenantSums(tenant: string): Promise<ShardSums[]> {
    requireName("tenant", tenant);
    const hashes = await this.#redis.callAll(
      this.#eachShard((shard) => ["HGETALL", this.#keys.sums(shard, tenant)] as const),
    );
    return hashes.map((hash, shard) => ({
      shard,
      rows: toPairs(hash).map(([field, blob]) => toSumRow(tenant, field, blob)),
    }));
  }

  publishRelease(tenant: string, token: number, stored: StoredRelease): Promise<void> {
    return this.#releases.publish(tenant, token, stored);
  }

  currentRelease(tenant: string): Promise<CurrentLadders | null> {
    return this.#releases.current(tenant);
  }

  recentReleases(tenant: string): Promise<RecentRelease[]> {
    return this.#releases.recent(tenant);
  }

  putModel(tenant: string, token: number, model: StoredModel): Promise<void> {
    return this.#models.put(tenant, token, model);
  }

  models(tenant: string): Promise<StoredModel[]> {
    return this.#models.all(tenant);
  }

  model(tenant: string, version: number): Promise<Uint8Array | null> {
    return this.#models.one(tenant, version);
  }

  dropModels(tenant: string, token: number, versions: readonly number[]): Promise<void> {
    return this.#models.drop(tenant, token, versions);
  }

  watch(listener: StoreListener): Promise<() => Promise<void>> {
    return this.#watch.add(listener);
  }

  async close(): Promise<void> {
    this.#watch.close();
    this.#redis.close();
  }

  /** A scan may show a row twice while Redis resizes the hash: the map keeps one. */
  async #scanSums(shard: number, tenant: string): Promise<SumRow[]> {
    const rows = new Map<string, SumRow>();
    let cursor = "0";
    do {
      const answer = await this.#redis.call("HSCAN", [
        ...[this.#keys.sums(shard, tenant), cursor, "COUNT", SCAN_COUNT],
      ]);
      const [next, page] = answer as [Buffer, Buffer[]];
      for (const [field, blob] of toPairs(page)) rows.set(field, toSumRow(tenant, field, blob));
      cursor = String(next);
    } while (cursor !== "0");
    return [...rows.values()];
  }

  #eachShard<T>(make: (shard: number) => T): T[] {
    return Array.from({ length: this.shards }, (_, shard) => make(shard));
  }
}

/**
 * Connects and answers the store. Throws `InvalidConfigError` when Redis holds
 * the state of another shard count, `TransportError("store.unavailable")` when it
 * cannot be reached.
 */
export async function redisStore(options: RedisStoreOptions): Promise<Store> {
  const resolved = resolveStoreOptions(options);
  const keys = redisKeys(options.prefix ?? "omega");
  const connection = {
    url: options.url,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS_DEFAULT,
    random: options.random ?? systemRandom,
    log: options.log,
    replicated: options.replicas ? { count: options.replicas, mark: keys.mark } : undefined,
  };
  const redis = new RedisConnection(connection);
  await redis.connect();
  try {
    await claimShardCount(redis, keys.shardCount, resolved.shards);
  } catch (error) {
    redis.close();
    throw error;
  }
  const clock = options.clock ?? systemClock;
  options.log.debug("store.redis.open", { shards: resolved.shards });
  return new RedisStore(resolved, keys, redis, { ...connection, clock });
}

/** Devices are placed by hash modulo the count: another count would look for them in the wrong place. */
async function claimShardCount(redis: RedisConnection, key: string, shards: number): Promise<void> {
  const [, stored] = await redis.callAll([
    ["SETNX", key, shards],
    ["GET", key],
  ]);
  if (toNumber(stored) === shards) return;
  throw new InvalidConfigError([
    `shards must be ${stored}, as in the existing state: got ${shards}`,
  ]);
}
