import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { verifyShards } from "../../src/aggregate/index.ts";
import { deviceName, shardOf } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import {
  type DeltaProducer,
  type QueueBackend,
  type QueueEntry,
  redisQueue,
} from "../../src/queue/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { type Running, run } from "../support/process.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";
import { foldable, POLICY, stockModels } from "./frames.ts";
import { histories } from "./histories.ts";
import { printed, referenceFold } from "./reference.ts";

const CHILD = fileURLToPath(new URL("./dying-aggregator.mjs", import.meta.url));
const SHARDS = 2;
const SEED = 20_261_122;
const DEATHS = ["before", "after", "before", "before", "after", "after"] as const;

describe("aggregator on Redis", () => {
  let redis: RedisServer;
  let queue: QueueBackend;
  let store: Store;
  let child: Running | null = null;

  beforeEach(async () => {
    redis = await startRedis();
    queue = await redisQueue({ url: redis.url, shards: SHARDS, log: silentLogger });
    store = await redisStore({ url: redis.url, shards: SHARDS, log: silentLogger });
  }, 30_000);

  afterEach(async () => {
    await child?.kill();
    await queue.close();
    await store.close();
    await redis.stop();
  }, 30_000);

  const start = (die: "before" | "after" | "never") => {
    child = run(process.execPath, [CHILD, JSON.stringify({ url: redis.url, shards: SHARDS, die })]);
    return child;
  };

  const add = async (producer: DeltaProducer, entries: readonly QueueEntry[]) => {
    for (let at = 0; at < entries.length; at += 4) {
      const parts = new Map<number, QueueEntry[]>();
      for (const entry of entries.slice(at, at + 4)) {
        const shard = shardOf(entry.key, SHARDS);
        parts.set(shard, [...(parts.get(shard) ?? []), entry]);
      }
      for (const [shard, part] of parts) await producer.add(shard, part);
    }
  };

  it("P2: kill -9 before and after the commit, again and again: nothing missing, nothing twice", async () => {
    const [sent = []] = fc.sample(histories(60, 10), { seed: SEED, numRuns: 1 });
    // Ordered by device, as they were sent; arrival times lie in the past, so nothing expires.
    const now = sent.map((entry) => ({ ...entry, receivedAtMs: Date.now() }));
    const producer = await queue.producer();
    await stockModels(store);
    // Each dies at its first commit and finds new deltas, so that however fast it is there is one.
    const sliceCount = Math.ceil(now.length / DEATHS.length);
    for (const [round, die] of DEATHS.entries()) {
      await add(producer, now.slice(round * sliceCount, (round + 1) * sliceCount));
      expect(await start(die).exited).toBe("SIGKILL");
    }
    const survivor = start("never");
    await waitFor(async () => (await producer.depth()) === 0, {
      timeoutMs: 60_000,
      what: `an empty queue; the survivor said: ${survivor.stderr()}`,
    });

    const keys = [...new Map(now.map(({ key }) => [deviceName(key), key])).values()];
    const verdicts = await verifyShards(store, keys, POLICY, Date.now());
    expect(verdicts.flatMap((verdict) => verdict.mismatches)).toEqual([]);
    const total = (of: (verdict: (typeof verdicts)[number]) => number) =>
      verdicts.reduce((sum, verdict) => sum + of(verdict), 0);
    expect(total(({ stats }) => stats.deadLettered)).toBe(0);
    expect(total(({ stats }) => stats.applied)).toBe(now.length);
    expect(total(({ consumed }) => consumed)).toBe(now.length);

    const table = new Map<string, Uint8Array>();
    for (let shard = 0; shard < SHARDS; shard += 1) {
      for (const { tenant, pattern, bucket, blob } of (await store.loadShard(shard)).sums) {
        if (blob !== null) table.set(`${shard}/${tenant}/${pattern}/${bucket}`, blob);
      }
    }
    const expected = new Map<string, Uint8Array>();
    for (let shard = 0; shard < SHARDS; shard += 1) {
      const part = now.filter(({ key }) => shardOf(key, SHARDS) === shard);
      const rows = referenceFold(
        part.map((entry) => foldable(entry)),
        POLICY,
      );
      for (const [name, bytes] of rows) expected.set(`${shard}/${name}`, bytes);
    }
    expect(printed(table)).toEqual(printed(expected));
  }, 120_000);
});
