/**
 * The systems that are compared: how each is started, which processes it is, and when its work is done.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { type AlternativeKind, QUEUE_NAME } from "./alternative-kinds.ts";
import { accepting, freePort, start, stop, until } from "./processes.ts";
import { type ProtocolName, RAW_KEY } from "./protocols.ts";
import type { SystemName } from "./report.ts";

export interface System {
  readonly name: SystemName;
  readonly protocol: ProtocolName;
  readonly port: number;
  readonly pids: readonly number[];
  /** Waits until everything acknowledged is worked off; throws when that is not what was acked. */
  settle(ackedInAll: number): Promise<void>;
  stop(): Promise<void>;
}

type Fsync = "everysec" | "always";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const CLI = here("../../src/cli/main.js");
const ALTERNATIVE = here("./alternative-main.js");
const APPLIED = /^omega_aggregate_applied_total(?:\{[^}]*\})? (\d+)$/gm;

/** Gateway and aggregator as deployed, with their defaults, and a Redis of their own. */
export async function startOurs(fsync: Fsync): Promise<System> {
  const redis = await startRedis(fsync);
  const [port, gatewayHttp, aggregatorHttp] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const common = ["--redis", redis.url, "--set", "log.level=error"];
  const gateway = startOmega(
    "gateway",
    ["--port", `${port}`, "--http-port", `${gatewayHttp}`],
    // Fifty connections stand for many more devices: none is to be slowed down as one.
    [...common, "--set", "gateway.limits.deltasPerDeviceS=0"],
  );
  const aggregator = startOmega("aggregator", ["--http-port", `${aggregatorHttp}`], common);
  await isReady(gatewayHttp, "the gateway");
  await isReady(aggregatorHttp, "the aggregator");
  return {
    name: fsync === "always" ? "omega-sync, AOF always" : "omega-sync",
    ...{ protocol: "mqtt", port, pids: pidsOf([gateway, aggregator, redis.child]) },
    async settle(ackedInAll) {
      await until("every acked delta to be applied", async () => {
        const applied = await appliedOf(aggregatorHttp);
        if (applied > ackedInAll) throw new Error(`acked ${ackedInAll}, applied ${applied}`);
        return applied === ackedInAll;
      });
    },
    async stop() {
      await Promise.all([stop(gateway), stop(aggregator)]);
      await redis.stop();
    },
  };
}

/** What the aggregator says it applied. */
async function appliedOf(httpPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  return [...text.matchAll(APPLIED)].reduce((sum, [, value]) => sum + Number(value), 0);
}

function startOmega(command: string, own: readonly string[], common: readonly string[]) {
  return start(process.execPath, [CLI, command, ...own, ...common]);
}

function isReady(httpPort: number, what: string): Promise<void> {
  return until(what, async () => {
    try {
      return (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).ok;
    } catch {
      return false; // Not listening yet.
    }
  });
}

/** aedes and nothing else: what is acknowledged is forgotten. */
export async function startBare(): Promise<System> {
  const port = await freePort();
  const server = startAlternative("bare", port, 0);
  await accepting(port, "bare aedes");
  return unstored({ name: "aedes, stores nothing", port, server });
}

export async function startMosquitto(program: string): Promise<System> {
  const port = await freePort();
  const server = start(program, ["-p", `${port}`]);
  await accepting(port, "Mosquitto");
  return unstored({ name: "Mosquitto, stores nothing", port, server });
}

function unstored(of: { name: SystemName; port: number; server: ChildProcess }): System {
  const { name, port, server } = of;
  const pids = pidsOf([server]);
  return { name, protocol: "mqtt", port, pids, settle: async () => {}, stop: () => stop(server) };
}

/** A server that adds one job per message, a worker that does nothing, and their Redis. */
export async function startQueued(kind: "queue-add" | "fastify"): Promise<System> {
  const redis = await startRedis("everysec");
  const port = await freePort();
  const server = startAlternative(kind, port, redis.port);
  const worker = startAlternative("worker", 0, redis.port);
  await accepting(port, kind);
  const jobs = new Redis(redis.url);
  return {
    name: kind === "fastify" ? "Fastify + Queue.add" : "aedes + Queue.add",
    protocol: kind === "fastify" ? "http" : "mqtt",
    ...{ port, pids: pidsOf([server, worker, redis.child]) },
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
  const redis = await startRedis("everysec");
  const client = new Redis(redis.url);
  return {
    ...{ name: "raw Redis RPUSH", protocol: "redis", port: redis.port },
    pids: pidsOf([redis.child]),
    settle: async () => void (await client.unlink(RAW_KEY)),
    async stop() {
      client.disconnect();
      await redis.stop();
    },
  };
}

function startAlternative(kind: AlternativeKind, port: number, redisPort: number): ChildProcess {
  return start(process.execPath, [ALTERNATIVE, kind, `${port}`, `${redisPort}`]);
}

async function startRedis(fsync: Fsync) {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "omega-bench-redis-"));
  const child = start("redis-server", [
    ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", ""],
    ...["--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction"],
  ]);
  await accepting(port, "redis-server (is it installed?)");
  return {
    ...{ child, port, url: `redis://127.0.0.1:${port}` },
    async stop() {
      await stop(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function pidsOf(processes: readonly ChildProcess[]): number[] {
  return processes.map(({ pid }) => pid ?? -1);
}
