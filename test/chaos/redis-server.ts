/**
 * Real redis-servers for a run, and what is done with them past every link.
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { silentLogger } from "../../src/observe/index.ts";
import { redisQueue } from "../../src/queue/index.ts";
import { queueName } from "../../src/queue/names.ts";
import { redisStore } from "../../src/store/index.ts";
import { Part } from "./part.ts";
import { ServerClock } from "./server-clock.ts";
import { type OpenStage, SHARDS } from "./stage.ts";

/** BullMQ's key prefix, and that of the queues' names, as the product has them. */
const PREFIX = "omega";
const PROBE_MS_MAX = 1_000;

export interface RedisServerOptions {
  readonly port: number;
  /** For its log and its file of configuration. */
  readonly dir: string;
  /** For its append-only file. */
  readonly data: string;
  /** Lines of configuration beside those that all have. */
  readonly lines: readonly string[];
}

export function redisPart(name: string, { port, dir, data, lines }: RedisServerOptions): Part {
  mkdirSync(data, { recursive: true });
  const file = join(dir, `${name}.conf`);
  const clock = ServerClock.in(dir, name);
  const common = [
    ...[`port ${port}`, "bind 127.0.0.1", `dir ${data}`, 'save ""'],
    ...["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"],
  ];
  // A file, because Sentinel has a server write down in it whose replica it is.
  writeFileSync(file, `${[...common, ...lines].join("\n")}\n`);
  return new Part({
    name,
    command: "redis-server",
    args: () => [file],
    logFile: join(dir, `${name}.log`),
    ready: () => answers(port),
    clock,
    // With a full disk it ends by itself, because it could not keep its word.
    mayEndWith: [1],
  });
}

/** The servers of Sentinel `name`, which watches the master on `masterPort`. */
export function sentinelPart(
  name: string,
  options: { readonly port: number; readonly dir: string; readonly lines: readonly string[] },
): Part {
  const { port, dir, lines } = options;
  const file = join(dir, `${name}.conf`);
  writeFileSync(file, `${[`port ${port}`, "bind 127.0.0.1", `dir ${dir}`, ...lines].join("\n")}\n`);
  return new Part({
    name,
    command: "redis-server",
    args: () => [file, "--sentinel"],
    logFile: join(dir, `${name}.log`),
    ready: () => answers(port),
    mayEndWith: [],
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const finish = (is: boolean) => {
      socket.destroy();
      resolve(is);
    };
    socket.once("data", (chunk) => finish(chunk.toString().startsWith("+PONG")));
    socket.once("error", () => finish(false));
    socket.setTimeout(PROBE_MS_MAX, () => finish(false));
  });
}

/** A client that gives up at once: what it is for can be done another time. */
export function impatientClient(port: number): Redis {
  const client = new Redis(port, "127.0.0.1", {
    ...{ maxRetriesPerRequest: 0, retryStrategy: () => null, connectTimeout: PROBE_MS_MAX },
    commandTimeout: PROBE_MS_MAX,
  });
  client.on("error", () => {});
  return client;
}

export async function openRedis(port: number): Promise<OpenStage> {
  const options = { url: `redis://127.0.0.1:${port}`, shards: SHARDS, log: silentLogger };
  const queue = await redisQueue(options);
  const store = await redisStore(options);
  return {
    ...{ queue, store },
    async close() {
      await queue.close();
      await store.close();
    },
  };
}

/** A job whose bytes are none of ours. Rejects when the server does not take it. */
export async function addPoisonJob(port: number, shard: number): Promise<void> {
  const connection = impatientClient(port);
  const queue = new Queue(queueName(PREFIX, shard), {
    ...{ connection, prefix: PREFIX, skipWaitingForReady: true },
  });
  queue.on("error", () => {});
  try {
    await queue.add("batch", { bytes: "not a batch", at: performance.now() });
  } finally {
    connection.disconnect();
  }
}
