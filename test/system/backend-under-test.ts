/**
 * The backend of a kill test: a real server or the embedded database, seen by the test through its own queue and store.
 * @module
 */
import { silentLogger } from "../../src/observe/index.ts";
import { postgresQueue, type QueueBackend, redisQueue } from "../../src/queue/index.ts";
import {
  type EmbeddedDatabase,
  openEmbedded,
  openPostgresPool,
  postgresStore,
  redisStore,
  type Store,
} from "../../src/store/index.ts";
import { tempDir } from "../support/disk.ts";
import { startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { type SentinelRedis, startRedisSentinel } from "../support/redis-sentinel.ts";
import { DIST } from "./omega-process.ts";

export type BackendKind = "redis" | "postgres" | "embedded";

export interface BackendUnderTest {
  readonly kind: BackendKind;
  readonly queue: QueueBackend;
  readonly store: Store;
  /** What lets processes in when it lives in the test's process. */
  readonly database: EmbeddedDatabase | null;
  /** What a process is told to use it: `path=value`. Empty for the embedded one, which is the parent's. */
  readonly settings: readonly string[];
  close(): Promise<void>;
}

export const SHARDS = 2;
const log = silentLogger;

export function openBackend(kind: BackendKind): Promise<BackendUnderTest> {
  if (kind === "redis") return startRedis().then((server) => openRedis(server));
  if (kind === "postgres") return openPostgres();
  const dir = tempDir("omega-kill-");
  return openEmbeddedIn(dir.path, () => dir.remove());
}

export async function openRedisCluster(): Promise<BackendUnderTest> {
  return openRedis(await startRedisCluster());
}

/** Master and replica behind Sentinels, with what a fail-over of them needs. */
export async function openRedisSentinel(): Promise<BackendUnderTest & { redis: SentinelRedis }> {
  const redis = await startRedisSentinel();
  return { ...(await openRedis(redis, 1)), redis };
}

async function openRedis(
  server: { readonly url: string; stop(): Promise<void> },
  replicas = 0,
): Promise<BackendUnderTest> {
  const { url } = server;
  const queue = await redisQueue({ url, shards: SHARDS, log, replicas });
  const store = await redisStore({ url, shards: SHARDS, log, replicas });
  const settings = [`backend=${url}`];
  const close = closing([() => server.stop(), () => queue.close(), () => store.close()]);
  return { kind: "redis", queue, store, database: null, settings, close };
}

async function openPostgres(): Promise<BackendUnderTest> {
  const server = await startPostgres();
  const pool = openPostgresPool(server.url);
  const queue = await postgresQueue({ pool, kind: "postgres", shards: SHARDS, log });
  const store = await postgresStore({ pool, shards: SHARDS, log });
  const close = closing([
    () => server.stop(),
    () => pool.end(),
    () => queue.close(),
    () => store.close(),
  ]);
  const settings = [`backend=${server.url}`];
  return { kind: "postgres", queue, store, database: null, settings, close };
}

/** The database in `dir`, which must belong to nobody else at the time; `remove` runs after the closing. */
export async function openEmbeddedIn(
  dir: string,
  remove: () => Promise<void>,
): Promise<BackendUnderTest> {
  // Node 20 runs no TypeScript in a worker thread.
  const workerUrl = new URL(`file://${DIST}/src/store/embedded/database-worker.js`);
  const database = await openEmbedded({ dir, workerUrl });
  const { pool } = database;
  const queue = await postgresQueue({ pool, kind: "embedded", shards: SHARDS, log });
  const store = await postgresStore({ pool, shards: SHARDS, log });
  const close = closing([remove, () => database.close(), () => queue.close(), () => store.close()]);
  return { kind: "embedded", queue, store, database, settings: [], close };
}

/** Runs every step, last first, whatever the others come to. */
export function closing(steps: readonly (() => Promise<unknown>)[]): () => Promise<void> {
  return async () => {
    const errors: unknown[] = [];
    for (const step of [...steps].reverse()) await step().catch((error) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, "closing failed");
  };
}
