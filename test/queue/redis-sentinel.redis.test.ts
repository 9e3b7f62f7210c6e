/**
 * The queue where Sentinels say who the master is, and what a fail-over leaves of it.
 */
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { OmegaError } from "../../src/core/index.ts";
import { createMetrics, silentLogger as log } from "../../src/observe/index.ts";
import { type QueueBackend, type QueueEntry, redisQueue } from "../../src/queue/index.ts";
import { type SentinelRedis, startRedisSentinel } from "../support/redis-sentinel.ts";
import { waitFor } from "../support/wait.ts";
import { queueContract } from "./contract.ts";
import { stuckProcess } from "./stuck-process.ts";

queueContract("Redis behind Sentinels, with a replica", async () => {
  const redis = await startRedisSentinel();
  return {
    backend: (options) => redisQueue({ ...options, url: redis.url, replicas: 1 }),
    async rawAdd(name, data, options) {
      const connection = new Redis((await redis.master()).url, { maxRetriesPerRequest: null });
      await new Queue(name, { connection, prefix: "omega" }).add("raw", data, options);
      connection.disconnect();
    },
    stuckConsumer: (prefix) => stuckProcess("redis", prefix, redis.url),
    killServer: "a fail-over is what Sentinels are for",
    stop: () => redis.stop(),
  };
});

const LONG = 60_000;
const entryOf = (device: string): QueueEntry => ({
  key: { tenant: "t", device },
  receivedAtMs: 1,
  frame: new Uint8Array(50),
});
const outcomeOf = (add: Promise<void>) =>
  add.then(
    () => "stored",
    (error: OmegaError) => error.reason,
  );

let redis: SentinelRedis;
const opened: QueueBackend[] = [];
beforeAll(async () => {
  redis = await startRedisSentinel();
}, LONG);
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.close();
}, LONG);
afterAll(() => redis?.stop(), LONG);

async function open(replicas: number, prefix: string) {
  const metrics = createMetrics();
  const backend = await redisQueue({
    ...{ url: redis.url, shards: 1, prefix, log, metrics, replicas },
  });
  opened.push(backend);
  return { backend, metrics };
}

test(
  "P1: with its replica frozen an add is not durable, and is not said to be; without replicas asked for it is",
  async () => {
    const asked = await open(1, "frozen");
    const [strict, loose] = [
      await asked.backend.producer(),
      await (await open(0, "loose")).backend.producer(),
    ];
    await strict.add(0, [entryOf("before")]);
    const pid = (await redis.replica()).pid();
    process.kill(pid, "SIGSTOP");
    try {
      const adds = [strict.add(0, [entryOf("a")]), strict.add(0, [entryOf("b")])].map(outcomeOf);
      expect(await outcomeOf(loose.add(0, [entryOf("c")]))).toBe("stored");
      expect(await Promise.all(adds)).toEqual(["queue.unreplicated", "queue.unreplicated"]);
      expect(await asked.metrics.render()).toMatch(
        /omega_queue_add_failures_total\{reason="queue.unreplicated"\} 2/,
      );
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await waitFor(async () => (await outcomeOf(strict.add(0, [entryOf("after")]))) === "stored", {
      what: "an add once the replica runs again",
    });
  },
  LONG,
);

test(
  "P1 P2: kill -9 of the master under load: every add that was answered is worked at the next master",
  async () => {
    const { backend } = await open(1, "killed");
    const producer = await backend.producer();
    const stored: string[] = [];
    const got = new Set<string>();
    await backend
      .consumer(0, async (entries) => {
        for (const { key } of entries) got.add(key.device);
      })
      .start();
    let stop = false;
    const load = Array.from({ length: 8 }, async (_, lane) => {
      for (let count = 0; !stop; count += 1) {
        const device = `tv-${lane}-${count}`;
        const outcome = await outcomeOf(producer.add(0, [entryOf(device)]));
        if (outcome === "stored") stored.push(device);
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    await waitFor(() => stored.length > 200, { what: "a load" });
    await redis.failOver();
    const before = stored.length;
    await waitFor(() => stored.length > before + 200, { what: "adds at the new master" });
    stop = true;
    await Promise.all(load);
    await waitFor(() => stored.every((device) => got.has(device)), {
      ...{ what: "every add that was answered", timeoutMs: 20_000 },
    });
  },
  LONG,
);

test(
  "without replicas asked for, a fail-over takes an add that was answered",
  async () => {
    // One of its own, because Sentinels let some time pass between two fail-overs.
    const fresh = await startRedisSentinel();
    const backend = await redisQueue({ url: fresh.url, shards: 1, log });
    const producer = await backend.producer();
    const [master, replica] = fresh.servers;
    await replica.kill9();
    await producer.add(0, [entryOf("gone")]);
    await master.kill9();
    await replica.restart("SIGKILL", ["--replicaof", "127.0.0.1", String(master.port)]);
    await fresh.failedOver(master);
    await waitFor(async () => (await outcomeOf(producer.depth().then(() => {}))) === "stored", {
      what: "the queue at the new master",
    });
    expect(await producer.depth()).toBe(0);
    await backend.close();
    await fresh.stop();
  },
  LONG,
);
