/**
 * The two ways to run Redis: one server with its append-only file, and master, replica and Sentinels.
 * @module
 */
import { join } from "node:path";
import { freePort } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { Disk, fillable } from "./disk-of-its-own.ts";
import type { Part } from "./part.ts";
import {
  addPoisonJob,
  impatientClient,
  openRedis,
  redisPart,
  sentinelPart,
} from "./redis-server.ts";
import type { FailOver } from "./schedule.ts";
import type { Stage, StageOptions } from "./stage.ts";

const DISK_MIB = 1_024;
const SENTINELS = 3;
const QUORUM = 2;
const MASTER = "omega";
/** Silence after which Sentinel believes that a server is gone, milliseconds. */
const DOWN_MS = 2_000;
const FAIL_OVER_MS_MAX = 10_000;
const WHOLE_MS_MAX = 60_000;

export async function startAof({ dir, link }: StageOptions): Promise<Stage> {
  const port = await freePort();
  const disk = new Disk(join(dir, "redis"), DISK_MIB);
  const redis = redisPart("redis", { port, dir, data: disk.path, lines: [] });
  await redis.start();
  return {
    servers: [redis],
    ...{ helpers: [], port },
    disks: fillable("redis", disk),
    links: [],
    flagsFor: async (name) => ["--redis", `redis://127.0.0.1:${await link(name, port)}`],
    open: () => openRedis(port),
    whole: () => redis.isReady(),
    failOver: null,
    poisonJob: (shard) => addPoisonJob(port, shard),
  };
}

interface Node {
  readonly port: number;
  /** Where all others reach it. */
  readonly linkPort: number;
  readonly part: Part;
}

export async function startReplicated({ dir, link }: StageOptions): Promise<Stage> {
  const nodes: Node[] = [];
  for (const name of ["redis-a", "redis-b"]) {
    const port = await freePort();
    const linkPort = await link(`all→${name}`, port);
    const [master] = nodes;
    const lines = [
      ...["replica-announce-ip 127.0.0.1", `replica-announce-port ${linkPort}`],
      // A master that has lost its replica, or was replaced and does not know it, takes nothing.
      ...["min-replicas-to-write 1", "min-replicas-max-lag 3", "repl-timeout 10"],
      ...["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"],
      ...(master === undefined ? [] : [`replicaof 127.0.0.1 ${master.linkPort}`]),
    ];
    const part = redisPart(name, { port, dir, data: join(dir, name), lines });
    nodes.push({ port, linkPort, part });
    await part.start();
  }
  const sentinels = await startSentinels(dir, (nodes[0] as Node).linkPort);
  const ports = sentinels.map(({ port }) => port);
  const master = async () => {
    const linkPort = await masterPort(ports);
    return nodes.find((node) => node.linkPort === linkPort) ?? null;
  };
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
  await waitFor(() => isWhole(master), { timeoutMs: WHOLE_MS_MAX, what: "the replica" });
  return {
    servers: nodes.map(({ part }) => part),
    helpers: sentinels.map(({ part }) => part),
    ...{ disks: new Map(), port: null },
    links: ["all→redis-a", "all→redis-b"],
    flagsFor: async () => [
      ...["--redis", `redis+sentinel://${hosts}/${MASTER}`],
      ...["--set", "durability=replicated"],
    ],
    open: async () => openRedis((await known(master)).port),
    whole: () => isWhole(master),
    failOver: (by, forMs) => failOver(by, { forMs, sentinel: ports[0] as number, master }),
    poisonJob: async (shard) => addPoisonJob((await known(master)).port, shard),
  };
}

async function startSentinels(dir: string, masterPort: number) {
  const lines = [
    `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} ${QUORUM}`,
    `sentinel down-after-milliseconds ${MASTER} ${DOWN_MS}`,
    `sentinel failover-timeout ${MASTER} ${FAIL_OVER_MS_MAX}`,
  ];
  const started = [];
  for (let n = 1; n <= SENTINELS; n += 1) {
    const port = await freePort();
    const part = sentinelPart(`sentinel-${n}`, { port, dir, lines });
    await part.start();
    started.push({ port, part });
  }
  return started;
}

/** Where the first Sentinel that answers believes the master to be; null when none answers. */
async function masterPort(sentinels: readonly number[]): Promise<number | null> {
  for (const port of sentinels) {
    const found = await asked(port, async (client) => {
      const answer = await client.call("SENTINEL", "get-master-addr-by-name", MASTER);
      return Array.isArray(answer) ? Number(answer[1]) : null;
    });
    if (found !== null) return found;
  }
  return null;
}

/** What `act` has of the server, null when that fails. */
async function asked<T>(
  port: number,
  act: (client: ReturnType<typeof impatientClient>) => Promise<T>,
): Promise<T | null> {
  const client = impatientClient(port);
  try {
    return await act(client);
  } catch {
    return null;
  } finally {
    client.disconnect();
  }
}

type FindMaster = () => Promise<Node | null>;

async function known(master: FindMaster): Promise<Node> {
  return await waitFor(master, { timeoutMs: FAIL_OVER_MS_MAX, what: "a master" });
}

/** The master is one, and its replica follows. */
async function isWhole(master: FindMaster): Promise<boolean> {
  const node = await master();
  if (node === null) return false;
  const info = await asked(node.port, (client) => client.info("replication"));
  return info !== null && /role:master/.test(info) && /^slave0:.*state=online/m.test(info);
}

async function failOver(
  by: FailOver,
  of: { readonly forMs: number; readonly sentinel: number; readonly master: FindMaster },
): Promise<boolean> {
  const node = await of.master();
  if (node === null) return false;
  if (by === "kill") return node.part.kill(of.forMs);
  if (by === "freeze") return node.part.freeze(of.forMs);
  const done = await asked(of.sentinel, (client) => client.call("SENTINEL", "failover", MASTER));
  return done !== null;
}
