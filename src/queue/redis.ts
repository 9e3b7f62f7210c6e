/**
 * The queue on Redis.
 *
 * The producer's connection is set against BullMQ's defaults on purpose
 *: no offline queue and no resending, so that Redis being down is an
 * error at once and never a hidden buffer; and a socket that stays silent while
 * commands wait is cut, so that a frozen server or a dead network path costs
 * one timeout and heals by itself. The consumer's connections wait and resend
 * instead: a worker has nowhere else to go.
 * @module
 */
import { type Job, Queue } from "bullmq";
import { Cluster, type Redis } from "ioredis";
import { type Clock, messageOf, TransportError, within } from "../core/index.ts";
import {
  type ClientSettings,
  connectMasters,
  gather,
  openClient,
  replicasOf,
} from "../redis/index.ts";
import { ClaimWriter, claimedBytes } from "./claims.ts";
import { ShardConsumer } from "./consumer.ts";
import { EagerWorker } from "./eager-worker.ts";
import { errorLog } from "./failures.ts";
import { EVENTS_MAX } from "./job-options.ts";
import { queueName } from "./names.ts";
import { type QueueOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import type { ConsumerHooks, DeltaProducer, EntryHandler, QueueBackend } from "./port.ts";
import { ShardProducer } from "./producer.ts";
import { mendClocks } from "./redis-clocks.ts";
import { RedisSafety } from "./redis-safety.ts";
import { Roster } from "./roster.ts";

export interface RedisQueueOptions extends QueueOptions {
  /** As `src/redis/address.ts` reads it: one server, a cluster, or what Sentinels call the master. */
  readonly url: string;
}

/** Redis answers in the order of calls on one connection, so jobs of a shard may overlap. */
const PARALLEL_PER_SHARD = 8;
/** For the same reason a worker may ask for many at once. */
const ASKED_MAX = 16;
const RECONNECT_DELAY_MS_MAX = 1_000;
/** Longer than a worker asks to wait for a job; after a fail-over it is how long a frozen old master is heard out. */
const CONSUMER_SOCKET_TIMEOUT_MS = 15_000;
/** BullMQ's own key prefix; the shard's hash tag is in the queue's name. */
const KEY_PREFIX = "omega";

const RECONNECTING = {
  retryStrategy: (times: number) => Math.min(50 * times, RECONNECT_DELAY_MS_MAX),
  connectTimeout: 5_000,
  // A Redis that is still reading its file answers LOADING; asked again soon.
  maxLoadingRetryTime: RECONNECT_DELAY_MS_MAX,
};

function producerConnection(addTimeoutMs: number): ClientSettings {
  return {
    ...RECONNECTING,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    socketTimeout: addTimeoutMs,
  };
}

const CONSUMER_CONNECTION: ClientSettings = {
  ...RECONNECTING,
  maxRetriesPerRequest: null,
  socketTimeout: CONSUMER_SOCKET_TIMEOUT_MS,
};

/**
 * Connects once to see that Redis answers and keeps what it acknowledges.
 * Throws `TransportError("queue.unavailable")` when it does not answer within
 * `startTimeoutMs`, `InvalidConfigError` when `unsafe` is "refuse" and it could lose acknowledged data.
 */
export async function redisQueue(options: RedisQueueOptions): Promise<QueueBackend> {
  const { url } = options;
  const resolved = resolveOptions(options);
  const roster = new Roster();
  const safety = new RedisSafety(resolved);
  let closing: Promise<void> | null = null;

  const probe = await connect(url, CONSUMER_CONNECTION, resolved);
  try {
    await safety.check(probe);
  } finally {
    probe.disconnect();
  }

  return {
    kind: "redis",
    jobsAtOnce: resolved.consumer.concurrency,
    producer: async () => roster.producer(await redisProducer(url, resolved, safety)),
    consumer: (shard, handle, hooks) =>
      roster.consumer(redisConsumer(url, resolved, { shard, handle, hooks: hooks ?? {} })),
    close() {
      closing ??= roster.close();
      return closing;
    },
  };
}

async function redisProducer(
  url: string,
  options: ResolvedOptions,
  safety: RedisSafety,
): Promise<DeltaProducer> {
  const { clock, log, shards, prefix, addTimeoutMs } = options;
  const client = await connect(url, producerConnection(addTimeoutMs), options);
  safety.watch(client);
  const onError = errorLog(log, "queue.producer.error", clock);
  const queues = Array.from({ length: shards }, (_, shard) => {
    const queue = new Queue(queueName(prefix, shard), {
      connection: client,
      prefix: KEY_PREFIX,
      streams: { events: { maxLen: EVENTS_MAX } },
    });
    queue.on("error", onError);
    return queue;
  });
  try {
    const ready = Promise.all(queues.map((queue) => queue.waitUntilReady()));
    await within(clock, options.startTimeoutMs, ready, unavailable);
  } catch (error) {
    client.disconnect();
    throw error instanceof TransportError ? error : unavailable(error);
  }
  return new ShardProducer({
    queues,
    // A cluster may answer any command with a redirection, and then a job could precede its bytes.
    ...(client instanceof Cluster ? {} : { claims: new ClaimWriter(client) }),
    replicas: replicasOf(client, options.replicas),
    parallelPerShard: PARALLEL_PER_SHARD,
    addTimeoutMs,
    pendingBytesMax: options.pendingBytesMax,
    clock,
    metrics: options.metrics,
    closeQueues: async () => {
      await Promise.all(queues.map((queue) => queue.close()));
      client.disconnect();
    },
  });
}

function redisConsumer(
  url: string,
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
      const connection = openClient(url, CONSUMER_CONNECTION);
      connection.on("error", errorLog(log, "queue.consumer.connection", clock));
      const name = queueName(prefix, wanted.shard);
      const streams = { events: { maxLen: EVENTS_MAX } };
      const worker = new EagerWorker(name, processor, {
        ...workerOptions,
        connection,
        prefix: KEY_PREFIX,
      });
      worker.askedMax = ASKED_MAX;
      const queue = new Queue(name, { connection, prefix: KEY_PREFIX, streams });
      const dispose = async () => {
        connection.disconnect();
        await worker.disconnect();
      };
      const base = queue.qualifiedName;
      const { lockMs } = options.consumer;
      return {
        ...{ worker, queue, dispose },
        claims: claimedBytes(connection, base),
        gather: () => gather(connection),
        mendClocks: () => mendClocks(connection, { base, lockMs }),
      };
    },
  });
}

/** A client that is ready, or `TransportError("queue.unavailable")` after `startTimeoutMs` of trying. */
async function connect(
  url: string,
  settings: ClientSettings,
  options: {
    readonly clock: Clock;
    readonly startTimeoutMs: number;
    readonly log: ResolvedOptions["log"];
  },
): Promise<Redis | Cluster> {
  const client = openClient(url, settings);
  let lastError: unknown;
  const logError = errorLog(options.log, "queue.redis.error", options.clock);
  client.on("error", (error) => {
    lastError = error;
    logError(error);
  });
  const ready = new Promise<void>((resolve) => client.once("ready", resolve)).then(() =>
    client instanceof Cluster ? connectMasters(client) : undefined,
  );
  try {
    await within(options.clock, options.startTimeoutMs, ready, () => unavailable(lastError));
    return client;
  } catch (error) {
    client.disconnect();
    throw error;
  }
}

function unavailable(cause?: unknown): TransportError {
  const why = cause === undefined ? "no answer in time" : messageOf(cause);
  return new TransportError("queue.unavailable", `Redis cannot be used as queue: ${why}`, {
    cause,
  });
}
