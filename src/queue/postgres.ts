/**
 * The queue in PostgreSQL, or in the embedded database behind the same pool.
 *
 * BullMQ's tables live in the schema `bullmq`, and its SQL uses bare names:
 * the pool's sessions must have that schema in their search_path,
 * which is checked here because the error would come late and look strange.
 * @module
 */
import { createPostgresBackend, type Job, Queue, runMigrations } from "bullmq";
import {
  InvalidConfigError,
  messageOf,
  type SqlPool,
  TransportError,
  within,
} from "../core/index.ts";
import { ShardConsumer } from "./consumer.ts";
import { judgeDurability, postgresFaults } from "./durability.ts";
import { EagerWorker } from "./eager-worker.ts";
import { errorLog } from "./failures.ts";
import { EVENTS_MAX } from "./job-options.ts";
import { createListenHub, type ListenHub } from "./listen-hub.ts";
import { queueName } from "./names.ts";
import { type QueueOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import type { ConsumerHooks, DeltaProducer, EntryHandler, QueueBackend } from "./port.ts";
import { mendClocks } from "./postgres-clocks.ts";
import { ShardProducer } from "./producer.ts";
import { Roster } from "./roster.ts";

export interface PostgresQueueOptions extends QueueOptions {
  /** Sessions must search the schema `bullmq`. Stays open when the backend closes: its owner closes it. */
  readonly pool: SqlPool;
  readonly kind: "postgres" | "embedded";
}

/** Two adds of one shard on two connections could commit in either order. */
const PARALLEL_PER_SHARD = 1;
const MIGRATION_TIMEOUT_MS = 60_000;

/**
 * Migrates BullMQ's schema when needed. Throws `TransportError("queue.unavailable")`
 * when the database does not answer, `InvalidConfigError` when the search_path
 * lacks `bullmq`, or when `unsafe` is "refuse" and it could lose acknowledged data.
 */
export async function postgresQueue(options: PostgresQueueOptions): Promise<QueueBackend> {
  const { pool, kind } = options;
  const resolved = resolveOptions(options);
  const hub = createListenHub(pool, resolved.clock);
  const roster = new Roster();
  let closing: Promise<void> | null = null;

  const prepared = prepare(pool, kind, resolved);
  await within(resolved.clock, MIGRATION_TIMEOUT_MS, prepared, unavailable).catch((error) => {
    if (error instanceof InvalidConfigError || error instanceof TransportError) throw error;
    throw unavailable(error);
  });

  return {
    kind,
    jobsAtOnce: resolved.consumer.concurrency,
    producer: async () => roster.producer(await postgresProducer(hub, resolved)),
    consumer: (shard, handle, hooks) =>
      roster.consumer(
        postgresConsumer({ pool, hub }, resolved, { shard, handle, hooks: hooks ?? {} }),
      ),
    close() {
      closing ??= roster.close().finally(() => hub.close());
      return closing;
    },
  };
}

async function prepare(
  pool: SqlPool,
  kind: "postgres" | "embedded",
  options: ResolvedOptions,
): Promise<void> {
  const client = await pool.connect();
  try {
    await runMigrations(client);
  } finally {
    client.release();
  }
  const { rows } = await pool.query("SELECT 'bullmq' = ANY (current_schemas(false)) AS found");
  if (rows[0]?.found !== true) {
    throw new InvalidConfigError([
      "the SQL pool of a queue needs the schema bullmq in its search_path",
    ]);
  }
  // The embedded database says at its own start what it survives.
  if (kind === "postgres") judgeDurability(await postgresFaults(pool), options.unsafe, options.log);
}

async function postgresProducer(hub: ListenHub, options: ResolvedOptions): Promise<DeltaProducer> {
  const { clock, log, shards, prefix } = options;
  const onError = errorLog(log, "queue.producer.error", clock);
  const queues = Array.from({ length: shards }, (_, shard) => {
    const queue = openQueue(hub, queueName(prefix, shard));
    queue.on("error", onError);
    return queue;
  });
  const ready = Promise.all(queues.map((queue) => queue.waitUntilReady()));
  await within(clock, options.startTimeoutMs, ready, unavailable).catch((error) => {
    throw error instanceof TransportError ? error : unavailable(error);
  });
  return new ShardProducer({
    queues,
    parallelPerShard: PARALLEL_PER_SHARD,
    addTimeoutMs: options.addTimeoutMs,
    pendingBytesMax: options.pendingBytesMax,
    clock,
    metrics: options.metrics,
    closeQueues: async () => {
      await Promise.all(queues.map((queue) => queue.close()));
    },
  });
}

function postgresConsumer(
  { pool, hub }: { readonly pool: SqlPool; readonly hub: ListenHub },
  options: ResolvedOptions,
  wanted: { shard: number; handle: EntryHandler; hooks: ConsumerHooks },
) {
  const { clock, random, log, metrics, prefix } = options;
  return new ShardConsumer({
    ...wanted,
    settings: options.consumer,
    clock,
    random,
    log,
    metrics,
    connect: (processor: (job: Job) => Promise<void>, workerOptions) => {
      const name = queueName(prefix, wanted.shard);
      const worker = new EagerWorker(
        name,
        processor,
        { ...workerOptions, connection: hub.pool as never },
        createPostgresBackend as never,
      );
      const queue = openQueue(hub, name);
      const dispose = () => worker.disconnect();
      return { worker, queue, mendClocks: () => mendClocks(pool, name), dispose };
    },
  });
}

/** BullMQ's types for its second backend do not meet those of its classes; the values do. */
function openQueue(hub: ListenHub, name: string): Queue {
  return new Queue(
    name,
    { connection: hub.pool as never, streams: { events: { maxLen: EVENTS_MAX } } },
    createPostgresBackend as never,
  );
}

function unavailable(cause?: unknown): TransportError {
  const why = cause === undefined ? "no answer in time" : messageOf(cause);
  return new TransportError("queue.unavailable", `the database cannot be used as queue: ${why}`, {
    cause,
  });
}
