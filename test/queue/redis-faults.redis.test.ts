import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterEach, describe, expect, test } from "vitest";
import { InvalidConfigError, isId, type OmegaError, seededRandom } from "../../src/core/index.ts";
import { type QueueBackend, type QueueEntry, redisQueue } from "../../src/queue/index.ts";
import { FaultProxy } from "../chaos/proxy.ts";
import { freePort } from "../support/disk.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const LONG = { timeout: 60_000 };

const entryOf = (device: string, bytes = 50): QueueEntry => ({
  key: { tenant: "t", device },
  receivedAtMs: 1,
  frame: new Uint8Array(bytes),
});
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "stored",
    (error: OmegaError) => error.reason,
  );

describe("queue on a Redis in trouble", () => {
  let server: RedisServer | null = null;
  let backend: QueueBackend | null = null;

  afterEach(async () => {
    await backend?.close();
    await server?.stop();
    backend = null;
    server = null;
  }, 30_000);

  test(
    "P1: a frozen Redis answers every add with a bounded refusal, and is used again when it thaws",
    LONG,
    async () => {
      server = await startRedis();
      const limits = { addTimeoutMs: 400, pendingBytesMax: 20_000 };
      backend = await redisQueue({ url: server.url, shards: 1, log, ...limits });
      const producer = await backend.producer();
      await producer.add(0, [entryOf("before")]);
      process.kill(server.pid(), "SIGSTOP");
      try {
        // 100 adds of 1 KB against a budget of 20 KB: most are refused at once, none hangs.
        const adds = Array.from({ length: 100 }, (_, index) =>
          reasonOf(producer.add(0, [entryOf(`d${index}`, 1_000)])),
        );
        const reasons = new Set(await Promise.all(adds));
        expect(reasons).toContain("queue.unknown");
        expect(reasons).toContain("queue.busy");
        expect(reasons).not.toContain("stored");
        expect(["queue.unknown", "queue.unavailable"]).toContain(await reasonOf(producer.depth()));
      } finally {
        process.kill(server.pid(), "SIGCONT");
      }
      await waitFor(
        async () => (await reasonOf(producer.add(0, [entryOf("after")]))) === "stored",
        {
          what: "an add after the thaw",
        },
      );
      const got: string[] = [];
      await backend
        .consumer(0, async (entries) => void got.push(...entries.map(({ key }) => key.device)))
        .start();
      await waitFor(() => got.includes("after"), { what: "what was added after the thaw" });
      expect(got).toContain("before");
    },
  );

  test("stop() and close() end within their bounds while Redis is frozen", LONG, async () => {
    server = await startRedis();
    backend = await redisQueue({
      url: server.url,
      shards: 1,
      log,
      addTimeoutMs: 300,
      consumer: { stopTimeoutMs: 300 },
    });
    const producer = await backend.producer();
    let held = false;
    await backend
      .consumer(0, () => {
        held = true;
        return new Promise(() => {});
      })
      .start();
    await producer.add(0, [entryOf("a")]);
    await waitFor(() => held, { what: "the handler" });
    process.kill(server.pid(), "SIGSTOP");
    const frozen = server;
    try {
      await backend.close();
    } finally {
      process.kill(frozen.pid(), "SIGCONT");
    }
  });

  test(
    "a far Redis: a job runs as soon as it is fetched, however many are wanted at once",
    LONG,
    async () => {
      server = await startRedis();
      const near = await redisQueue({ url: server.url, shards: 1, log });
      const producer = await near.producer();
      const jobs = Array.from({ length: 100 }, (_, index) => `d${index}`);
      // One after the other, or they would be packed into a few.
      for (const device of jobs) await producer.add(0, [entryOf(device)]);
      await near.close();
      const proxy = await FaultProxy.start({
        ...{ targetPort: server.port, port: await freePort(), random: seededRandom(1) },
      });
      try {
        // A hundred answers, each waited for before the next is asked for, would outlast the locks.
        proxy.slow(15, 0);
        const consumer = { lockMs: 1_000, stalledCheckMs: 100 };
        backend = await redisQueue({
          url: `redis://127.0.0.1:${proxy.port}`,
          shards: 1,
          log,
          consumer,
        });
        const got: string[] = [];
        let open = 0;
        let openMost = 0;
        const handle = async (entries: readonly QueueEntry[]) => {
          got.push(...entries.map(({ key }) => key.device));
          open += 1;
          openMost = Math.max(openMost, open);
          await sleep(1_500);
          open -= 1;
        };
        await backend.consumer(0, handle).start();
        await waitFor(() => got.length >= jobs.length && open === 0, { what: "all jobs handled" });
        expect(got.toSorted()).toEqual(jobs.toSorted());
        expect(openMost).toBeGreaterThan(64);
      } finally {
        await backend?.close();
        await proxy.stop();
      }
    },
  );

  test("Redis being down is an error at once, not a hidden buffer", LONG, async () => {
    server = await startRedis();
    backend = await redisQueue({ url: server.url, shards: 1, log, addTimeoutMs: 20_000 });
    const producer = await backend.producer();
    await producer.add(0, [entryOf("a")]);
    await server.kill9();
    const broken = await reasonOf(producer.add(0, [entryOf("b")]));
    expect(["queue.unavailable", "queue.unknown"]).toContain(broken);
    expect(await reasonOf(producer.add(0, [entryOf("c")]))).toBe("queue.unavailable");
    await server.restart();
    await waitFor(async () => (await reasonOf(producer.add(0, [entryOf("d")]))) === "stored", {
      what: "an add after the restart",
    });
  });

  test("no Redis at the start is a clear error within the bound", LONG, async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const opening = redisQueue({ url, shards: 1, log, startTimeoutMs: 300 });
    await expect(opening).rejects.toMatchObject({
      code: "Transport",
      reason: "queue.unavailable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test(
    "a Redis that could forget or evict is refused or warned about, as asked",
    LONG,
    async () => {
      server = await startRedis({
        args: ["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"],
      });
      const { url } = server;
      const refused = redisQueue({ url, shards: 1, log, unsafe: "refuse" });
      await expect(refused).rejects.toThrow(InvalidConfigError);
      await expect(refused).rejects.toThrow(/noeviction[\s\S]*appendonly yes/);
      const warnings: unknown[] = [];
      const warn = (_event: string, fields?: Record<string, unknown>) => warnings.push(fields);
      backend = await redisQueue({ url, shards: 1, log: { ...log, warn } });
      expect(warnings).toHaveLength(2);
      await backend.close();
      backend = await redisQueue({ url, shards: 1, log: { ...log, warn }, unsafe: "ignore" });
      expect(warnings).toHaveLength(2);
    },
  );

  test(
    "a Redis that comes back with other settings is warned about, and one that does not tell is said to",
    LONG,
    async () => {
      server = await startRedis();
      const faults: string[] = [];
      const warn = (event: string, fields?: Record<string, unknown>) => {
        if (event === "queue.durability") faults.push(String(fields?.fault));
      };
      backend = await redisQueue({ url: server.url, shards: 1, log: { ...log, warn } });
      await backend.producer();
      expect(faults).toEqual([]);
      await server.restart("SIGKILL", ["--appendfsync", "everysec"]);
      await waitFor(() => faults.length > 0, { what: "a warning" });
      expect(faults).toEqual([expect.stringContaining("appendfsync is everysec")]);
      await backend.close();
      const hidden = await startRedis({ args: ["--rename-command", "CONFIG", ""] });
      backend = await redisQueue({ url: hidden.url, shards: 1, log: { ...log, warn } });
      await hidden.stop();
      expect(faults).toEqual([expect.anything(), expect.stringContaining("does not tell")]);
    },
  );

  test(
    "THREATS 22: whatever a device calls itself, the keys in Redis are ours alone",
    LONG,
    async () => {
      server = await startRedis();
      backend = await redisQueue({ url: server.url, shards: 2, log });
      const producer = await backend.producer();
      const redis = new Redis(server.url);
      const base = "omega:{omega-0}";
      let jobs = 0;
      const hostile = fc.oneof(
        fc.constantFrom(
          "meta",
          "stalled",
          "wait",
          "a:b",
          "12",
          "0",
          "0:1",
          "x\r\nSET y z",
          "*",
          "{x}",
        ),
        fc.string({ unit: "binary", maxLength: 80 }),
        fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
      );
      await fc.assert(
        fc.asyncProperty(hostile, hostile, async (tenant, device) => {
          const entry: QueueEntry = { ...entryOf("d"), key: { tenant, device } };
          const outcome = await reasonOf(producer.add(0, [entry]));
          expect(outcome).toBe(isId(tenant) && isId(device) ? "stored" : "batch.id");
          if (outcome === "stored") jobs += 1;
          const own = jobs === 0 ? ["meta"] : ["meta", "id", "wait", "marker", "events"];
          const model = [
            "omega:{omega-1}:meta",
            ...own.map((name) => `${base}:${name}`),
            ...Array.from({ length: jobs }, (_, index) => `${base}:b-${index + 1}`),
            ...Array.from({ length: jobs }, (_, index) => `${base}:b-${index + 1}:logs`),
          ];
          // The producer's own random name stands before the number of a job.
          const keys = (await redis.keys("*")).map((key) =>
            key.replace(/:b-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-(?=\d+)/, ":b-"),
          );
          expect(keys.toSorted()).toEqual(model.toSorted());
        }),
        { numRuns: 150 },
      );
      expect(await producer.depth()).toBe(jobs);
      redis.disconnect();
    },
  );
});
