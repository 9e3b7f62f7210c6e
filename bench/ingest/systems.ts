/**
 * The systems that are compared: how each is started, which processes it is, and when its work is done.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { appliedOf, openStore, SHARDS, startAggregator, startGateway } from "../support/omega.ts";
import {
  accepting,
  firstMessage,
  freePort,
  QUIET,
  scratchFolder,
  start,
  stop,
  until,
  WITH_IPC,
} from "../support/processes.ts";
import { type Fsync, type RedisServer, startRedis } from "../support/redis.ts";
import { type AlternativeKind, type NoopMessage, QUEUE_NAME } from "./alternative-kinds.ts";
import { type ProtocolName, RAW_KEY } from "./protocols.ts";
import type { SystemName } from "./report.ts";

export interface System {
  readonly name: SystemName;
  readonly protocol: ProtocolName;
  readonly port: number;
  /** Its processes by what they do. */
  readonly pids: Readonly<Record<string, number>>;
  /** Waits until everything acknowledged is worked off; throws when that is not what was acked. */
  settle(ackedInAll: number): Promise<void>;
  stop(): Promise<void>;
}

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const ALTERNATIVE = here("./alternative-main.js");
const NOOP_WORKER = here("./noop-worker-main.js");
const ANSWER_MS_MAX = 10_000;

/** Gateway and aggregator as deployed, with their defaults but `durability`, and a Redis of their own. */
export async function startOurs(
  name: SystemName,
  fsync: Fsync,
  options: {
    readonly durability?: "memory" | "replicated";
    readonly settings?: readonly string[];
  } = {},
): Promise<System> {
  const { durability } = options;
  const redis = await startRedis(fsync);
  const replica = durability === "replicated" ? await startReplica(fsync, redis) : null;
  const settings = [
    ...(durability === undefined ? [] : [`durability=${durability}`]),
    ...(options.settings ?? []),
  ];
  const [gateway, aggregator] = await Promise.all([
    startGateway({ redisUrl: redis.url, settings }),
    startAggregator({ redisUrl: redis.url, settings }),
  ]);
  const store = await openStore(redis.url);
  return {
    ...{ name, protocol: "mqtt", port: gateway.port },
    pids: {
      ...{ gateway: gateway.pid, redis: redis.pid, aggregator: aggregator.pid },
      ...(replica === null ? {} : { replica: replica.pid }),
    },
    settle: (ackedInAll) =>
      until("every acked delta to be applied", async () => {
        const applied = await appliedOf(store);
        if (applied > ackedInAll) throw new Error(`acked ${ackedInAll}, applied ${applied}`);
        return applied === ackedInAll;
      }),
    async stop() {
      await store.close();
      await Promise.all([stop(gateway.child), stop(aggregator.child)]);
      await replica?.stop();
      await redis.stop();
    },
  };
}

/** Resolves when it follows `master`. */
async function startReplica(fsync: Fsync, master: RedisServer): Promise<RedisServer> {
  const replica = await startRedis(fsync, master.port);
  const client = new Redis(master.url);
  await until("the replica", async () =>
    (await client.info("replication")).includes("state=online"),
  );
  client.disconnect();
  return replica;
}

/** The same gateway and queue, and a worker that does nothing: what there is before the fold. */
export async function startNoop(): Promise<System> {
  const redis = await startRedis();
  const gateway = await startGateway({ redisUrl: redis.url });
  const args = [NOOP_WORKER, redis.url, `${SHARDS}`];
  const worker = start(process.execPath, args, WITH_IPC);
  await answerOf(worker, "ready");
  return {
    ...{ name: "omega-sync, no fold", protocol: "mqtt", port: gateway.port },
    pids: { gateway: gateway.pid, redis: redis.pid, worker: worker.pid ?? -1 },
    settle: (ackedInAll) =>
      until("every acked delta to be handled", async () => {
        const answer = answerOf(worker, "handled");
        worker.send("how many");
        return (await answer).deltas >= ackedInAll;
      }),
    async stop() {
      await Promise.all([stop(gateway.child), stop(worker)]);
      await redis.stop();
    },
  };
}

function answerOf<Kind extends NoopMessage["kind"]>(worker: ChildProcess, kind: Kind) {
  type Wanted = Extract<NoopMessage, { kind: Kind }>;
  const isWanted = (message: NoopMessage): message is Wanted => message.kind === kind;
  return firstMessage(worker, isWanted, { what: "the idle worker", msMax: ANSWER_MS_MAX });
}

/** aedes and nothing else: what is acknowledged is forgotten. */
export async function startBare(): Promise<System> {
  const port = await freePort();
  const server = startAlternative("bare", port, 0);
  await accepting(port, "bare aedes");
  return unstored({ name: "aedes, stores nothing", port, server });
}

/** Its acks leave at once, as those of all others do; by default Nagle's algorithm holds them. */
export async function startMosquitto(program: string): Promise<System> {
  const port = await freePort();
  const dir = scratchFolder();
  const file = join(dir.path, "mosquitto.conf");
  const lines = [`listener ${port} 127.0.0.1`, "allow_anonymous true", "set_tcp_nodelay true"];
  writeFileSync(file, [...lines, "log_dest none", ""].join("\n"));
  const server = start(program, ["-c", file], QUIET);
  await accepting(port, "Mosquitto");
  return unstored({ name: "Mosquitto, stores nothing", port, server }, () => dir.remove());
}

function unstored(
  of: { name: SystemName; port: number; server: ChildProcess },
  stopped = () => {},
): System {
  const { name, port, server } = of;
  return {
    ...{ name, protocol: "mqtt", port, pids: { broker: server.pid ?? -1 } },
    settle: async () => {},
    async stop() {
      await stop(server);
      stopped();
    },
  };
}

/** A server that adds one job per message, a worker that does nothing, and their Redis. */
export async function startQueued(kind: "queue-add" | "fastify"): Promise<System> {
  const redis = await startRedis();
  const port = await freePort();
  const server = startAlternative(kind, port, redis.port);
  const worker = startAlternative("worker", 0, redis.port);
  await accepting(port, kind);
  const jobs = new Redis(redis.url);
  return {
    name: kind === "fastify" ? "Fastify + Queue.add" : "aedes + Queue.add",
    protocol: kind === "fastify" ? "http" : "mqtt",
    ...{ port, pids: { server: server.pid ?? -1, redis: redis.pid, worker: worker.pid ?? -1 } },
    settle: () =>
      until(`the worker of ${kind}`, async () => {
        const lists = ["wait", "active"].map((list) => jobs.llen(`bull:${QUEUE_NAME}:${list}`));
        return (await Promise.all(lists)).every((length) => length === 0);
      }),
    async stop() {
      jobs.disconnect();
      await Promise.all([stop(server), stop(worker)]);
      await redis.stop();
    },
  };
}

/** The same bytes pushed onto a list: what durability alone costs. */
export async function startRaw(): Promise<System> {
  const redis = await startRedis();
  const client = new Redis(redis.url);
  return {
    ...{ name: "raw Redis RPUSH", protocol: "redis", port: redis.port },
    pids: { redis: redis.pid },
    settle: async () => void (await client.unlink(RAW_KEY)),
    async stop() {
      client.disconnect();
      await redis.stop();
    },
  };
}

function startAlternative(kind: AlternativeKind, port: number, redisPort: number): ChildProcess {
  return start(process.execPath, [ALTERNATIVE, kind, `${port}`, `${redisPort}`], QUIET);
}
