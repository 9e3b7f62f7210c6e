/**
 * A process that writes shards: the production writers on a store, fed from memory instead of BullMQ.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { writerMetrics } from "../../src/aggregate/aggregate-metrics.ts";
import { DEFAULT_AGGREGATOR_SETTINGS } from "../../src/aggregate/aggregator.ts";
import { DeviceCache } from "../../src/aggregate/device-cache.ts";
import { DEFAULT_FOLD_POLICY } from "../../src/aggregate/fold-policy.ts";
import { ModelShelf } from "../../src/aggregate/model-shelf.ts";
import { ShardWriter } from "../../src/aggregate/shard-writer.ts";
import { DEFAULT_WRITER_SETTINGS, type WriterContext } from "../../src/aggregate/writer-context.ts";
import { collectWithoutHelpers } from "../../src/cli/heap.ts";
import { systemClock, systemRandom } from "../../src/core/index.ts";
import { createMetrics, silentLogger } from "../../src/observe/index.ts";
import { memoryStore, redisStore, releaserLease, type Store } from "../../src/store/index.ts";
import { loadZstd } from "../../src/wire/index.ts";
import type { FoldCase } from "./frames.ts";
import { profiled, type Shares } from "./profile.ts";
import { ShardLoad } from "./shard-load.ts";

export interface FolderPlan {
  /** Null: the store in memory. */
  readonly url: string | null;
  readonly foldCase: FoldCase;
  /** The shards it writes, of `shardCount`. */
  readonly shards: readonly number[];
  readonly shardCount: number;
  /** On all shards together. */
  readonly devices: number;
  /** Deltas measured, of this process. */
  readonly deltas: number;
  readonly profiles: boolean;
}

export interface Memory {
  /** JavaScript objects and the buffers behind them, after a collection. */
  readonly heapBytes: number;
  readonly rssBytes: number;
}

export interface FolderResult {
  readonly deltas: number;
  readonly commits: number;
  readonly elapsedMs: number;
  /** User and system, of all threads. */
  readonly cpuUs: number;
  readonly shares: Shares | null;
}

export type FolderMessage =
  | { readonly kind: "ready"; readonly before: Memory; readonly after: Memory }
  | { readonly kind: "result"; readonly result: FolderResult };

/** Patterns before the clock starts, at the least: until the engine has compiled the hot loops. */
const WARM_UP_PATTERNS = 200_000;
const LEASE_TTL_MS = 60_000;
const SWEEP_MS = 200;

const count = { commits: 0 };

function send(message: FolderMessage): void {
  process.send?.(message);
}

async function openStore({ url, shardCount, foldCase }: FolderPlan): Promise<Store> {
  const log = silentLogger;
  const store =
    url === null
      ? memoryStore({ shards: shardCount })
      : await redisStore({ url, shards: shardCount, log });
  if (foldCase.model === null || (await store.models("default")).length > 0) return store;
  const lease = releaserLease("default");
  const token = await store.acquireLease(lease, `bench-${process.pid}`, LEASE_TTL_MS);
  const model = { version: 1, bytes: foldCase.model, samples: 1, learntAtMs: 0 };
  if (token !== null) await store.putModel("default", token, model);
  return store;
}

async function contextOf(store: Store): Promise<WriterContext> {
  const [clock, log] = [systemClock, silentLogger];
  return {
    ...{ store, clock, log, random: systemRandom, zstd: await loadZstd() },
    devices: new DeviceCache(DEFAULT_AGGREGATOR_SETTINGS.cachedBytesMax),
    models: new ModelShelf({ store, clock, log }),
    policy: DEFAULT_FOLD_POLICY,
    settings: { ...DEFAULT_WRITER_SETTINGS, leaseTtlMs: LEASE_TTL_MS },
    // Its load opens as many as it wants open.
    jobsAtOnce: Number.POSITIVE_INFINITY,
    owner: `bench-${process.pid}`,
    metrics: writerMetrics(createMetrics()),
    beforeCommit: async () => {
      count.commits += 1;
    },
  };
}

/** Collected twice with a turn between: the engine frees the buffers of dead objects behind a collection. */
async function memory(): Promise<Memory> {
  globalThis.gc?.();
  await sleep(SWEEP_MS);
  globalThis.gc?.();
  await sleep(SWEEP_MS);
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heapBytes: heapUsed + arrayBuffers, rssBytes: rss };
}

async function open(shard: number, context: WriterContext): Promise<ShardWriter> {
  const writer = await ShardWriter.open(shard, context);
  if (writer === null) throw new Error(`shard ${shard} has a writer already`);
  return writer;
}

async function main(plan: FolderPlan): Promise<void> {
  // As the aggregator's process does.
  collectWithoutHelpers();
  const { foldCase, shards, shardCount, devices, deltas } = plan;
  const store = await openStore(plan);
  const context = await contextOf(store);
  const writers = await Promise.all(shards.map((shard) => open(shard, context)));
  const loads = shards.map((shard) => new ShardLoad(foldCase, shard, shardCount, devices));
  const runAll = () =>
    Promise.all(loads.map((load, at) => load.run((entries) => handle(writers[at], entries))));
  const before = await memory();
  const warmUp = Math.ceil(WARM_UP_PATTERNS / foldCase.patterns / shards.length);
  for (const load of loads) load.prepare(Math.max(load.devices, warmUp));
  await runAll();
  const after = await memory();
  // The engine throws compiled code away with what it collected: it compiles again before the clock starts.
  for (const load of loads) load.prepare(warmUp);
  await runAll();
  for (const load of loads) load.prepare(Math.floor(deltas / shards.length));
  const gone = new Promise((resolve) => process.once("message", resolve));
  send({ kind: "ready", before, after });
  await gone;
  count.commits = 0;
  const [startedMs, startedCpu] = [performance.now(), process.cpuUsage()];
  let shares: Shares | null = null;
  if (plan.profiles) shares = await profiled(runAll);
  else await runAll();
  const elapsedMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(startedCpu);
  const done = Math.floor(deltas / shards.length) * shards.length;
  const { commits } = count;
  send({
    kind: "result",
    result: { deltas: done, commits, elapsedMs, cpuUs: user + system, shares },
  });
  await Promise.all(writers.map((writer) => writer.stop()));
  await store.close();
}

function handle(writer: ShardWriter | undefined, entries: Parameters<ShardWriter["handle"]>[0]) {
  if (writer === undefined) throw new Error("every load has its writer");
  return writer.handle(entries);
}

process.once("message", (plan: FolderPlan) => void main(plan).then(() => process.disconnect()));
