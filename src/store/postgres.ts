/**
 * The store in PostgreSQL, or in the embedded database: whatever stands behind a `SqlPool`.
 *
 * Tables: migrations.ts. Atomic steps: postgres-functions.ts. Every name is
 * qualified, so the pool's search_path does not matter. 64-bit integers are read
 * as text, because drivers disagree on what else to make of them.
 * @module
 */
import {
  type Clock,
  type DeviceKey,
  deviceName,
  InvalidConfigError,
  type Random,
  type SqlPool,
  shardOf,
  systemClock,
  systemRandom,
} from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import { checkCommit, requireKey, requireName, requireShard } from "./commit-check.ts";
import { releaseEvent } from "./events.ts";
import { migrate } from "./migrations.ts";
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
import { toBuffer, toBytes } from "./postgres-bytes.ts";
import { COMMIT_CALL, commitParameters } from "./postgres-commit.ts";
import { PostgresModels } from "./postgres-models.ts";
import { SqlRunner } from "./postgres-runner.ts";
import { openPostgresLink } from "./postgres-watch.ts";
import { decodeCursor, decodeDeadLetter } from "./records.ts";
import { requireOk } from "./refusals.ts";
import { requireStoredRelease } from "./release-check.ts";
import { decodeLadders, decodeRecent, encodeLadders, encodeRecent } from "./rendition-records.ts";
import { type NotificationSource, Watch } from "./watch.ts";

export interface PostgresStoreOptions extends StoreOptions {
  /** Stays the caller's: closing the store does not end it. A watch keeps one of its connections. */
  readonly pool: SqlPool;
  readonly log: Logger;
  /** The longest wait for one answer, milliseconds; 10,000 by default. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const TIMEOUT_MS_DEFAULT = 10_000;
/** Another process may be migrating, and a new database takes its time. */
const MIGRATE_TIMEOUT_MS = 60_000;

/**
 * The least token: when a fail-over lost the last writes, a mere counter would give
 * tokens out again that paused writers still hold.
 */
const NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

class PostgresStore implements Store {
  readonly #options: ResolvedStoreOptions;
  readonly #sql: SqlRunner;
  readonly #models: PostgresModels;
  readonly #watch: Watch;

  constructor(
    options: ResolvedStoreOptions,
    sql: SqlRunner,
    watching: { readonly clock: Clock; readonly random: Random; readonly log: Logger },
  ) {
    this.#options = options;
    this.#sql = sql;
    this.#models = new PostgresModels(sql);
    const source: NotificationSource = {
      open: (onEvent, onLost) => openPostgresLink(sql, onEvent, onLost),
      releaseVersions: () => this.#releaseVersions(),
      modelVersions: () => this.#models.versions(),
    };
    this.#watch = new Watch({ ...watching, source });
  }

  get shards(): number {
    return this.#options.shards;
  }

  async acquireLease(name: string, owner: string, ttlMs: number): Promise<number | null> {
    const { rows } = await this.#sql.query(
      `INSERT INTO omega.leases AS held (name, token, owner, expires_at)
       VALUES ($1, ${NOW_MS}, $2, clock_timestamp() + $3::float8 * interval '1 millisecond')
       ON CONFLICT (name) DO UPDATE SET token = greatest(held.token + 1, ${NOW_MS}),
         owner = excluded.owner,
         expires_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
       WHERE held.expires_at <= clock_timestamp() OR held.owner = excluded.owner
         OR held.expires_at > clock_timestamp() + $4::float8 * interval '1 millisecond'
       RETURNING held.token::text AS token`,
      [name, owner, ttlMs, LEASE_AHEAD_MS_MAX],
    );
    return rows.length === 0 ? null : Number(rows[0].token);
  }

  async renewLease(name: string, token: number, ttlMs: number): Promise<boolean> {
    const { rows } = await this.#sql.query(
      `UPDATE omega.leases SET expires_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
       WHERE name = $1 AND token = $2::bigint AND expires_at > clock_timestamp() RETURNING 1`,
      [name, token, ttlMs],
    );
    return rows.length > 0;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    await this.#sql.query(
      `UPDATE omega.leases SET expires_at = '-infinity' WHERE name = $1 AND token = $2::bigint`,
      [name, token],
    );
  }

  async loadShard(shard: number): Promise<LoadedShard> {
    requireShard(shard, this.shards);
    const last = await this.#sql.query(
      "SELECT number::text AS number FROM omega.shards WHERE shard = $1",
      [shard],
    );
    const { rows } = await this.#sql.query(
      "SELECT tenant, pattern, bucket::text AS bucket, blob FROM omega.sums WHERE shard = $1",
      [shard],
    );
    return { sums: rows.map(toSumRow), commitNumber: Number(last.rows[0]?.number ?? 0) };
  }

  async loadDevices(
    shard: number,
    wanted: readonly { readonly key: DeviceKey; readonly patterns: readonly string[] }[],
  ): Promise<DeviceRecord[]> {
    requireShard(shard, this.shards);
    for (const { key } of wanted) requireKey(key);
    const items = wanted.flatMap(({ key, patterns }) =>
      patterns.map((pattern) => ({ key, pattern })),
    );
    const { rows } = await this.#sql.query(
      `SELECT kept.tenant, kept.device, NULL AS pattern, kept.cursor AS blob
         FROM unnest($2::text[], $3::text[]) AS want (tenant, device)
         JOIN omega.devices AS kept ON kept.shard = $1::integer AND kept.tenant = want.tenant
          AND kept.device = want.device
       UNION ALL
       SELECT kept.tenant, kept.device, kept.pattern, kept.blob
         FROM unnest($4::text[], $5::text[], $6::text[]) AS want (tenant, device, pattern)
         JOIN omega.registers AS kept ON kept.shard = $1::integer AND kept.tenant = want.tenant
          AND kept.device = want.device AND kept.pattern = want.pattern`,
      [
        shard,
        ...keyColumns(wanted.map(({ key }) => key)),
        ...keyColumns(items.map(({ key }) => key)),
        items.map(({ pattern }) => pattern),
      ],
    );
    const found = new Map(rows.map((row) => [`${deviceName(row)}/${row.pattern ?? ""}`, row.blob]));
    return wanted.map(({ key, patterns }) => {
      const name = deviceName(key);
      const cursor = found.get(`${name}/`);
      const registers = new Map<string, Uint8Array>();
      for (const pattern of patterns) {
        const blob = found.get(`${name}/${pattern}`);
        if (blob) registers.set(pattern, toBytes(blob));
      }
      return { cursor: cursor ? decodeCursor(cursor) : null, registers };
    });
  }

  async registers(key: DeviceKey): Promise<Map<string, Uint8Array>> {
    requireKey(key);
    const { rows } = await this.#sql.query(
      `SELECT pattern, blob FROM omega.registers
       WHERE shard = $1 AND tenant = $2 AND device = $3`,
      [shardOf(key, this.shards), key.tenant, key.device],
    );
    return new Map(rows.map((row) => [row.pattern, toBytes(row.blob)]));
  }

  async commit(shard: number, token: number, number: number, commit: Commit): Promise<void> {
    requireShard(shard, this.shards);
    checkCommit(shard, this.shards, commit);
    const at = { shard, token, number, deadLettersKept: this.#options.deadLettersKept };
    const { rows } = await this.#sql.query(COMMIT_CALL, commitParameters(at, commit));
    requireOk(rows[0].outcome, { shard, token, number });
  }

  async forget(shard: number, token: number, key: DeviceKey): Promise<void> {
    requireShard(shard, this.shards);
    requireKey(key);
    const { rows } = await this.#sql.query(
      "SELECT omega.forget_device($1, $2, $3, $4, $5) AS outcome",
      [shard, shardLease(shard), token, key.tenant, key.device],
    );
    requireOk(rows[0].outcome, { shard, token });
  }

  async stats(shard: number): Promise<ShardStats> {
    requireShard(shard, this.shards);
    const { rows } = await this.#sql.query(
      `SELECT applied::text AS applied, duplicates::text AS duplicates,
         dead_lettered::text AS dead_lettered FROM omega.shards WHERE shard = $1`,
      [shard],
    );
    const row = rows[0];
    return {
      applied: Number(row?.applied ?? 0),
      duplicates: Number(row?.duplicates ?? 0),
      deadLettered: Number(row?.dead_lettered ?? 0),
    };
  }

  async deadLetters(shard: number, limit: number): Promise<DeadLetter[]> {
    requireShard(shard, this.shards);
    const { rows } = await this.#sql.query(
      "SELECT letter FROM omega.dead_letters WHERE shard = $1 ORDER BY ordinal DESC LIMIT $2",
      [shard, Math.max(0, limit)],
    );
    return rows.map((row) => decodeDeadLetter(row.letter));
  }

  async dropDeadLetters(shard: number, ids: readonly string[]): Promise<number> {
    requireShard(shard, this.shards);
    const { rows } = await this.#sql.query(
      "DELETE FROM omega.dead_letters WHERE shard = $1 AND id = ANY ($2::text[]) RETURNING 1",
      [shard, ids],
    );
    return rows.length;
  }

  async cursors(keys: readonly DeviceKey[]): Promise<(DeviceCursor | null)[]> {
    for (const key of keys) requireKey(key);
    const { rows } = await this.#sql.query(
      `SELECT kept.tenant, kept.device, kept.cursor
         FROM unnest($1::integer[], $2::text[], $3::text[]) AS want (shard, tenant, device)
         JOIN omega.devices AS kept ON kept.shard = want.shard AND kept.tenant = want.tenant
          AND kept.device = want.device`,
      [keys.map((key) => shardOf(key, this.shards)), ...keyColumns(keys)],
    );
    const found = new Map(rows.map((row) => [deviceName(row), row.cursor]));
    return keys.map((key) => {
      const cursor = found.get(deviceName(key));
      return cursor ? decodeCursor(cursor) : null;
    });
  }

  async tenants(): Promise<string[]> {
    const { rows } = await this.#sql.query(
      "SELECT tenant FROM omega.shard_tenants UNION SELECT tenant FROM omega.current_releases",
      [],
    );
    return rows.map((row) => row.tenant as string).sort();
  }

  async loadTenantSums(tenant: string): Promise<ShardSums[]> {
    requireName("tenant", tenant);
    const shards = Array.from({ length: this.shards }, (_, shard) => shard);
    // Naming every shard lets the primary key answer.
    const { rows } = await this.#sql.query(
      `SELECT shard, tenant, pattern, bucket::text AS bucket, blob FROM omega.sums
       WHERE shard = ANY ($1::integer[]) AND tenant = $2`,
      [shards, tenant],
    );
    const byShard = shards.map((shard) => ({ shard, rows: [] as SumRow[] }));
    for (const row of rows) byShard[row.shard]?.rows.push(toSumRow(row));
    return byShard;
  }

  async publishRelease(tenant: string, token: number, stored: StoredRelease): Promise<void> {
    requireName("tenant", tenant);
    requireStoredRelease(tenant, stored);
    const { release, ladder } = stored;
    const { rows } = await this.#sql.query(
      "SELECT omega.publish_release($1, $2, $3, $4, $5, $6, $7, $8, $9) AS outcome",
      [
        ...[tenant, releaserLease(tenant), token, release.version, toBuffer(ladder.contentHash)],
        ...[toBuffer(encodeLadders(stored)), toBuffer(encodeRecent(stored))],
        ...[this.#options.releasesKept, releaseEvent(tenant, release.version)],
      ],
    );
    requireOk(rows[0].outcome, { tenant, token, version: release.version });
  }

  async currentRelease(tenant: string): Promise<CurrentLadders | null> {
    requireName("tenant", tenant);
    const { rows } = await this.#sql.query(
      "SELECT ladder FROM omega.current_releases WHERE tenant = $1",
      [tenant],
    );
    return rows.length === 0 ? null : decodeLadders(rows[0].ladder);
  }

  async recentReleases(tenant: string): Promise<RecentRelease[]> {
    requireName("tenant", tenant);
    const { rows } = await this.#sql.query(
      "SELECT release FROM omega.releases WHERE tenant = $1 ORDER BY version DESC",
      [tenant],
    );
    return rows.map((row) => decodeRecent(row.release));
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
  }

  async #releaseVersions(): Promise<Map<string, number>> {
    const { rows } = await this.#sql.query(
      "SELECT tenant, version::text AS version FROM omega.current_releases",
      [],
    );
    return new Map(rows.map((row) => [row.tenant, Number(row.version)]));
  }
}

/**
 * Migrates the schema and answers the store. Throws `InvalidConfigError` when the
 * database holds the state of another shard count, `TransportError("store.newer")`
 * when a newer program migrated it.
 */
export async function postgresStore(options: PostgresStoreOptions): Promise<Store> {
  const resolved = resolveStoreOptions(options);
  const { pool, log, clock = systemClock, random = systemRandom } = options;
  const patient = new SqlRunner({ pool, clock, timeoutMs: MIGRATE_TIMEOUT_MS });
  await migrate(patient);
  await claimShardCount(patient, resolved.shards);
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  const store = new PostgresStore(resolved, new SqlRunner({ pool, clock, timeoutMs }), {
    clock,
    random,
    log,
  });
  log.debug("store.postgres.open", { shards: resolved.shards });
  return store;
}

/** Devices are placed by hash modulo the count: another count would look for them in the wrong place. */
async function claimShardCount(sql: SqlRunner, shards: number): Promise<void> {
  await sql.query(
    "INSERT INTO omega.settings (key, value) VALUES ('shards', $1) ON CONFLICT DO NOTHING",
    [String(shards)],
  );
  const { rows } = await sql.query("SELECT value FROM omega.settings WHERE key = 'shards'", []);
  if (Number(rows[0]?.value) === shards) return;
  throw new InvalidConfigError([
    `shards must be ${rows[0]?.value}, as in the existing state: got ${shards}`,
  ]);
}

function keyColumns(keys: readonly DeviceKey[]): [tenants: string[], devices: string[]] {
  return [keys.map((key) => key.tenant), keys.map((key) => key.device)];
}

interface SqlSumRow {
  readonly tenant: string;
  readonly pattern: string;
  readonly bucket: string;
  readonly blob: Uint8Array;
}

function toSumRow(row: SqlSumRow): SumRow {
  const { tenant, pattern, bucket, blob } = row;
  return { tenant, pattern, bucket: Number(bucket), blob: toBytes(blob) };
}
