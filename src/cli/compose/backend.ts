/**
 * The backend a configuration names: its queue and its store, opened together and closed in reverse.
 * @module
 */
import { InvalidConfigError, type SqlPool } from "../../core/index.ts";
import type { Logger, Metrics } from "../../observe/index.ts";
import { postgresQueue, type QueueBackend, redisQueue } from "../../queue/index.ts";
import {
  connectEmbedded,
  type EmbeddedDatabase,
  openEmbedded,
  openPostgresPool,
  parentChannel,
  postgresStore,
  redisStore,
  type Store,
} from "../../store/index.ts";
import { type Durability, durabilityOf } from "../config/durability.ts";
import type { Config } from "../config.ts";

export interface OpenBackend {
  readonly kind: "redis" | "postgres" | "embedded";
  readonly queue: QueueBackend;
  readonly store: Store;
  /** What a PUBACK waits for. */
  readonly durability: Durability;
  /** What an acknowledged delta outlives, for the banner at start. */
  readonly survives: string;
  /** The database when it lives in this process. */
  readonly database: EmbeddedDatabase | null;
  close(): Promise<void>;
}

export interface BackendOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Use the embedded database of the process that forked this one. */
  readonly fromParent?: boolean;
  /** The embedded database's thread died: nothing works from here on. */
  readonly onCrash?: (error: Error) => void;
}

/**
 * Opens what `config.backend` names. Rejects with `TransportError` when it does not answer or the
 * embedded directory is in use, `InvalidConfigError` when it cannot be used as it is.
 */
export async function openBackend(options: BackendOptions): Promise<OpenBackend> {
  const { backend } = options.config;
  if (options.fromParent) return openFromParent(options);
  if (backend.kind === "redis") return openRedis(options, backend.url.reveal());
  if (backend.kind === "postgres") return openPostgres(options, backend.url.reveal());
  return openEmbeddedBackend(options);
}

const SURVIVES: Readonly<Record<Durability, string>> = {
  memory: "what Redis' memory survives: not its death",
  aof: "what Redis survives: process death with its append-only file",
  replicated: "the death of Redis, and its fail-over to a replica",
};

async function openRedis(
  { config, log, metrics }: BackendOptions,
  url: string,
): Promise<OpenBackend> {
  const { shards } = config;
  const durability = durabilityOf(config);
  const replicas = durability === "replicated" ? config.replicas : 0;
  const unsafe = durability === "memory" ? "ignore" : "warn";
  const queue = await redisQueue({ url, shards, log, metrics, replicas, unsafe });
  const store = await redisStore({ url, shards, log, replicas }).catch(async (error: unknown) => {
    await queue.close();
    throw error;
  });
  return opened({
    kind: "redis",
    queue,
    store,
    durability,
    survives: SURVIVES[durability],
    database: null,
    closeLast: async () => {},
  });
}

async function openPostgres(options: BackendOptions, url: string): Promise<OpenBackend> {
  const { log } = options;
  const pool = openPostgresPool(url, {
    onIdleError: (error) => log.warn("postgres.connection.lost", { error }),
  });
  try {
    await pool.ready();
    return await openOnPool(options, pool, {
      kind: "postgres",
      survives: "what PostgreSQL survives: process death and power loss",
      database: null,
      closeLast: () => pool.end(),
    });
  } catch (error) {
    await pool.end();
    throw error;
  }
}

async function openEmbeddedBackend(options: BackendOptions): Promise<OpenBackend> {
  const { config, onCrash } = options;
  const database = await openEmbedded({ dir: config.dataDir, ...(onCrash ? { onCrash } : {}) });
  try {
    return await openOnPool(options, database.pool, {
      kind: "embedded",
      survives: database.survives,
      database,
      closeLast: () => database.close(),
    });
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function openFromParent(options: BackendOptions): Promise<OpenBackend> {
  if (process.send === undefined) {
    throw new InvalidConfigError(["the parent's database is only there for a process it started"]);
  }
  return openOnPool(options, connectEmbedded(parentChannel()), {
    kind: "embedded",
    survives: "what the parent process survives",
    database: null,
    // The open channel would keep this process alive.
    closeLast: async () => process.disconnect?.(),
  });
}

type Ends = Pick<OpenBackend, "survives" | "database"> & {
  readonly kind: "postgres" | "embedded";
  readonly closeLast: () => Promise<void>;
};

async function openOnPool(
  options: BackendOptions,
  pool: SqlPool,
  ends: Ends,
): Promise<OpenBackend> {
  const { config, log, metrics } = options;
  const { shards } = config;
  const queue = await postgresQueue({ pool, kind: ends.kind, shards, log, metrics });
  const store = await postgresStore({ pool, shards, log });
  return opened({ ...ends, durability: "aof", queue, store });
}

type Parts = Omit<OpenBackend, "close"> & { readonly closeLast: () => Promise<void> };

function opened(parts: Parts): OpenBackend {
  const { closeLast, ...rest } = parts;
  let closing: Promise<void> | null = null;
  return {
    ...rest,
    close() {
      closing ??= rest.queue
        .close()
        .finally(() => rest.store.close())
        .finally(closeLast);
      return closing;
    },
  };
}
