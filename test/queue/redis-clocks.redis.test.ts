import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { silentLogger } from "../../src/observe/index.ts";
import { type QueueBackend, redisQueue } from "../../src/queue/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";
import { entryOf, expectBothHandled, HOUR_MS } from "./both-jobs.ts";

const BASE = "omega:{omega-0}";
const CONSUMER = { lockMs: 1_000, stalledCheckMs: 250, stopTimeoutMs: 500, sweepMs: 200 };

let server: RedisServer;
let redis: Redis;
let queue: QueueBackend;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  const options = { url: server.url, shards: 1, log: silentLogger, consumer: CONSUMER };
  queue = await redisQueue(options);
}, 60_000);
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
});

it("P2: what was locked or put off while a clock was an hour ahead does not wait for an hour", async () => {
  const producer = await queue.producer();
  for (let n = 1; n <= 2; n += 1) await producer.add(0, [entryOf(n)]);
  // A worker that takes one job, and one that puts the other off, and dies.
  const connection = { connection: redis, prefix: "omega" };
  const dead = new Worker("{omega-0}", null, { ...connection, autorun: false });
  const held = await dead.getNextJob("dead", { block: false });
  const late = await dead.getNextJob("late", { block: false });
  await late?.moveToDelayed(Date.now() + HOUR_MS, "late");
  await dead.close(true);
  // Expiries that Redis was told by its own clock, when that was wrong.
  await redis.pexpire(`${BASE}:${held?.id}:lock`, HOUR_MS);
  await redis.set(`${BASE}:stalled-check`, "1", "PX", HOUR_MS);
  const names = new Queue("{omega-0}", connection);
  expect(await names.getJobCounts("active", "delayed")).toEqual({ active: 1, delayed: 1 });
  await names.close();

  await expectBothHandled(queue, producer);
}, 40_000);

it("P2: a job that is being handled keeps its lock, however often the clocks are looked after", async () => {
  const producer = await queue.producer();
  let runs = 0;
  let finish = () => {};
  const consumer = queue.consumer(0, async () => {
    runs += 1;
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  await consumer.start();
  await producer.add(0, [entryOf(1)]);
  await waitFor(() => runs === 1, { what: "the job" });
  await new Promise((resolve) => setTimeout(resolve, 5 * CONSUMER.lockMs));
  finish();
  await waitFor(async () => (await producer.depth()) === 0, { what: "an empty queue" });
  expect(runs).toBe(1);
  await consumer.stop();
}, 40_000);
