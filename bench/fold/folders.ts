/**
 * Runs of folder processes against a store, and what each run took.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { cpuUs, start, stop } from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";
import type { FolderMessage, FolderPlan, FolderResult, Memory } from "./folder-main.ts";
import type { FoldCase } from "./frames.ts";
import type { Shares } from "./profile.ts";

export interface RunOptions {
  readonly foldCase: FoldCase;
  readonly store: "memory" | "redis";
  readonly shards: number;
  /** The shards are dealt out among so many. */
  readonly processes: number;
  readonly devices: number;
  readonly deltas: number;
  readonly profiles?: boolean;
}

/** What a run took; CPU and bytes are per delta, of all processes together. */
export interface Run {
  readonly cpuUs: number;
  readonly redisCpuUs: number;
  /** Of the append-only file. */
  readonly redisBytes: number;
  readonly deltasPerCommit: number;
  readonly deltasPerS: number;
  readonly shares: Shares | null;
  /** Of the first process, before it knew a device and when it knew them all. */
  readonly before: Memory;
  readonly after: Memory;
}

const MAIN = fileURLToPath(new URL("./folder-main.js", import.meta.url));

export async function run(options: RunOptions): Promise<Run> {
  const redis = options.store === "redis" ? await startRedis() : null;
  const folders: ChildProcess[] = [];
  try {
    const plans = plansOf(options, redis?.url ?? null);
    const ready = plans.map((plan) => {
      const folder = start(process.execPath, ["--expose-gc", MAIN], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
        serialization: "advanced",
      });
      folders.push(folder);
      folder.send(plan);
      return messageOf(folder, "ready");
    });
    const [first] = await Promise.all(ready);
    if (first === undefined) throw new Error("a run has a process");
    const before = await redisUse(redis);
    const results = folders.map((folder) => messageOf(folder, "result"));
    for (const folder of folders) folder.send("go");
    const done = (await Promise.all(results)).map(({ result }) => result);
    return runOf(done, before, await redisUse(redis), first);
  } finally {
    await Promise.all(folders.map(stop));
    await redis?.stop();
  }
}

function plansOf(options: RunOptions, url: string | null): FolderPlan[] {
  const { foldCase, shards, processes, devices, deltas, profiles = false } = options;
  const all = Array.from({ length: shards }, (_, shard) => shard);
  return Array.from({ length: processes }, (_, at) => ({
    ...{ url, foldCase, devices, profiles, shardCount: shards },
    shards: all.filter((shard) => shard % processes === at),
    deltas: Math.floor(deltas / processes),
  }));
}

interface RedisUse {
  readonly cpuUs: number;
  readonly bytes: number;
}

async function redisUse(redis: { url: string; pid: number } | null): Promise<RedisUse> {
  if (redis === null) return { cpuUs: 0, bytes: 0 };
  const client = new Redis(redis.url);
  // A rewrite of the file would hide what was appended.
  await client.config("SET", "auto-aof-rewrite-percentage", "0");
  const info = await client.info("persistence");
  client.disconnect();
  const bytes = Number(/^aof_current_size:(\d+)/m.exec(info)?.[1] ?? 0);
  return { cpuUs: cpuUs(redis.pid), bytes };
}

function runOf(
  results: readonly FolderResult[],
  before: RedisUse,
  after: RedisUse,
  memory: { readonly before: Memory; readonly after: Memory },
): Run {
  const sum = (of: (result: FolderResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const deltas = sum((result) => result.deltas);
  return {
    cpuUs: sum((result) => result.cpuUs) / deltas,
    redisCpuUs: (after.cpuUs - before.cpuUs) / deltas,
    redisBytes: (after.bytes - before.bytes) / deltas,
    deltasPerCommit: deltas / sum((result) => result.commits),
    deltasPerS: sum((result) => (result.deltas * 1_000) / result.elapsedMs),
    shares: results[0]?.shares ?? null,
    before: memory.before,
    after: memory.after,
  };
}

/** The next message of this kind; rejects when the process ends without it. */
function messageOf<Kind extends FolderMessage["kind"]>(
  folder: ChildProcess,
  kind: Kind,
): Promise<Extract<FolderMessage, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    folder.on("message", (message: FolderMessage) => {
      if (message.kind === kind) resolve(message as Extract<FolderMessage, { kind: Kind }>);
    });
    folder.once("exit", (code) => reject(new Error(`a folding process ended with ${code}`)));
  });
}
