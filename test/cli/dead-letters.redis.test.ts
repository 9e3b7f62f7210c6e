/**
 * Dead letters on a real Redis, made by a real aggregator: shown, retried, dropped.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { shardOf } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { type QueueBackend, redisQueue } from "../../src/queue/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { absolute, deltaFrame, keyOf } from "../aggregate/frames.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";
import { OmegaProcess } from "../system/omega-process.ts";
import { runCli } from "./run-cli.ts";

const SHARDS = 4;
const LONG = 60_000;
const TV = keyOf("tv-1", "default");

let redis: RedisServer;
let store: Store;
let queue: QueueBackend;

beforeAll(async () => {
  await ensureBuilt();
  redis = await startRedis();
  store = await redisStore({ url: redis.url, shards: SHARDS, log: silentLogger });
  queue = await redisQueue({ url: redis.url, shards: SHARDS, log: silentLogger });
}, 300_000);
afterAll(async () => {
  await queue.close();
  await store.close();
  await redis.stop();
});

const letters = async () => {
  const { stdout } = await cli("list", "--json");
  return JSON.parse(stdout) as { id: string; device: string; reason: string }[];
};
const cli = (...args: string[]) => runCli(["dead-letters", ...args, "--redis", redis.url]);

/** An aggregator whose default tenant has patterns of `dim` numbers, while `act` runs. */
async function withAggregator(dim: number, act: () => Promise<void>): Promise<void> {
  const settings = [`tenants.default.dim=${dim}`, "aggregator.http.enabled=false"];
  const sets = settings.flatMap((each) => ["--set", each]);
  const args = ["aggregator", "--redis", redis.url, "--json", ...sets];
  const aggregator = new OmegaProcess({ args, database: null });
  await aggregator.start();
  try {
    await act();
  } finally {
    await aggregator.stop();
  }
}

describe("dead-letters", () => {
  it(
    "a delta that was refused for the tenant's dimension is shown, and applied once that is mended",
    async () => {
      const frame = deltaFrame({ seq: 1, upserts: [absolute("a", 1)] });
      const shard = shardOf(TV, SHARDS);
      await withAggregator(384, async () => {
        const entry = { key: TV, receivedAtMs: Date.now(), frame };
        await (await queue.producer()).add(shard, [entry]);
        await waitFor(async () => (await store.stats(shard)).deadLettered === 1, {
          what: "a dead letter",
        });
      });
      const [letter] = await letters();
      expect(letter).toMatchObject({ device: "tv-1", reason: "pattern.dimension" });
      const shown = await cli("show", letter?.id ?? "");
      expect(shown.code).toBe(0);
      expect(shown.stdout).toMatch(/pattern\.dimension[\s\S]*delta/);
      expect((await cli("list", "--device", "tv-2")).stdout).toBe("no dead letters\n");

      await withAggregator(8, async () => {
        const retried = await cli("retry", letter?.id ?? "", "--json");
        expect(JSON.parse(retried.stdout)).toEqual({ retried: 1, skipped: 0 });
        await waitFor(async () => (await store.registers(TV)).size === 1, { what: "its pattern" });
      });
      expect(await letters()).toEqual([]);
      expect(await store.stats(shard)).toEqual({ applied: 0, duplicates: 0, deadLettered: 1 });
    },
    LONG,
  );

  it(
    "what is dropped is gone; ids that are not there, and nothing said, are failures",
    async () => {
      const other = keyOf("tv-2", "default");
      const shard = shardOf(other, SHARDS);
      const before = (await store.stats(shard)).deadLettered;
      await withAggregator(8, async () => {
        const entry = { key: other, receivedAtMs: Date.now(), frame: Uint8Array.of(1, 2, 3) };
        await (await queue.producer()).add(shard, [entry]);
        await waitFor(async () => (await store.stats(shard)).deadLettered === before + 1, {
          what: "a dead letter",
        });
      });
      expect((await cli("drop")).code).toBe(2);
      expect((await cli("drop", "nobody.knows.it")).code).toBe(1);
      expect((await cli("show", "nobody.knows.it")).code).toBe(1);
      expect(await letters()).toHaveLength(1);
      const dropped = await cli("drop", "--reason", "frame.magic", "--json");
      expect(JSON.parse(dropped.stdout)).toEqual({ dropped: 1 });
      expect(await letters()).toEqual([]);
    },
    LONG,
  );
});
