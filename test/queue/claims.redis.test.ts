import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { claimedBytes, ORPHAN_MS } from "../../src/queue/claims.ts";
import {
  type DeltaProducer,
  encodeBatch,
  type PoisonJob,
  type QueueBackend,
  type QueueEntry,
  redisQueue,
} from "../../src/queue/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

const LONG = { timeout: 60_000 };
const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const NO_EXPIRY = -1;

const entryOf = (number: number): QueueEntry => ({
  key: { tenant: "t", device: `tv-${number}` },
  receivedAtMs: number,
  frame: Uint8Array.from({ length: 500 }, (_, at) => (at * 7 + number) & 0xff),
});
const numbersOf = (entries: readonly QueueEntry[]) => entries.map((entry) => entry.receivedAtMs);

describe("bytes beside their job", () => {
  let server: RedisServer;
  let redis: Redis;
  let backend: QueueBackend;
  let producer: DeltaProducer;
  let base: string;
  let run = 0;

  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url, { maxRetriesPerRequest: null });
  }, 30_000);
  beforeEach(async () => {
    run += 1;
    base = `omega:{c${run}-0}`;
    const consumer = { lockMs: 1_000, stalledCheckMs: 250, stopTimeoutMs: 500, sweepMs: 200 };
    backend = await redisQueue({ url: server.url, shards: 1, prefix: `c${run}`, log, consumer });
    producer = await backend.producer();
  }, 30_000);
  afterEach(() => backend.close(), 30_000);
  afterAll(async () => {
    redis?.disconnect();
    await server?.stop();
  }, 30_000);

  const keys = async () => (await redis.keys(`${base}:*:logs`)).toSorted();
  const expiries = async () => Promise.all((await keys()).map((key) => redis.pttl(key)));
  const drained = () =>
    waitFor(async () => (await producer.depth()) === 0 && (await keys()).length === 0, {
      what: "no job and no bytes",
    });

  /** Adds a job that carries `data`, past our producer. */
  async function rawAdd(data: unknown, jobId?: string): Promise<void> {
    const queue = new Queue(`{c${run}-0}`, { connection: redis, prefix: "omega" });
    await queue.add("raw", data, {
      attempts: 1_000,
      removeOnComplete: true,
      ...(jobId === undefined ? {} : { jobId }),
    });
  }

  test("P1: bytes are stored before their job and made to last after it", LONG, async () => {
    await producer.add(0, [entryOf(0)]); // Loads the script, so that the next add is one command.
    const seen: string[] = [];
    const monitor = await new Redis(server.url).monitor();
    monitor.on("monitor", (_time: string, args: string[], source: string) => {
      const command = args[0]?.toLowerCase() ?? "";
      const ours = args.some((arg) => arg.startsWith(base));
      if (ours && source !== "lua") seen.push(command);
    });
    await producer.add(0, [entryOf(1)]);
    await waitFor(() => seen.includes("persist"), { what: "the three commands" });
    monitor.disconnect();
    expect(seen).toEqual(["set", "evalsha", "persist"]);
    expect(await expiries()).toEqual([NO_EXPIRY, NO_EXPIRY]);
  });

  test(
    "P2: they stay while a job waits or is tried again, and go when it is done",
    LONG,
    async () => {
      for (let number = 0; number < 5; number += 1) await producer.add(0, [entryOf(number)]);
      expect(await expiries()).toEqual(Array(5).fill(NO_EXPIRY));
      const tries = new Map<number, number>();
      const whileOpen: number[] = [];
      const whole: boolean[] = [];
      const taken: number[] = [];
      const handle = async (entries: readonly QueueEntry[]) => {
        const number = numbersOf(entries)[0] ?? -1;
        tries.set(number, (tries.get(number) ?? 0) + 1);
        if ((tries.get(number) ?? 0) < 3) throw new Error("not now");
        whileOpen.push((await keys()).length);
        whole.push(Buffer.from(entries[0]?.frame ?? []).equals(entryOf(number).frame));
        taken.push(...numbersOf(entries));
      };
      await backend.consumer(0, handle).start();
      await drained();
      expect(taken.toSorted()).toEqual([0, 1, 2, 3, 4]);
      expect([...tries.values()]).toEqual([3, 3, 3, 3, 3]);
      expect(whole).toEqual([true, true, true, true, true]);
      expect(Math.min(...whileOpen)).toBeGreaterThanOrEqual(1);
    },
  );

  test("a job without its bytes is handed over by its id, never dropped", LONG, async () => {
    await producer.add(0, [entryOf(1)]);
    const [key = ""] = await keys();
    await redis.del(key);
    await producer.add(0, [entryOf(2)]);
    const poison: PoisonJob[] = [];
    const taken: number[] = [];
    let refuse = true;
    const onPoison = async (job: PoisonJob) => {
      poison.push(job);
      if (!refuse) return;
      refuse = false;
      throw new Error("the dead letters cannot be written just now");
    };
    await backend
      .consumer(0, async (entries) => void taken.push(...numbersOf(entries)), { onPoison })
      .start();
    await drained();
    expect(taken).toEqual([2]);
    expect(poison).toHaveLength(2);
    const jobId = key.slice(`${base}:`.length, -":logs".length);
    expect(poison[1]).toMatchObject({ reason: "claim.missing", jobId, raw: '{"beside":true}' });
  });

  test("bytes that are no batch are handed over whole, and gone with their job", LONG, async () => {
    const bytes = Buffer.from("neither fish nor fowl");
    await redis.set(`${base}:foreign:logs`, bytes);
    await rawAdd({ beside: true }, "foreign");
    const poison: PoisonJob[] = [];
    await backend.consumer(0, async () => {}, { onPoison: (job) => void poison.push(job) }).start();
    await drained();
    expect(poison).toMatchObject([{ reason: "batch.magic", raw: bytes.toString("base64") }]);
  });

  test(
    "jobs that carry their bytes in base64 are read beside those with a claim",
    LONG,
    async () => {
      const inline = (number: number) =>
        rawAdd({ batch: encodeBatch([entryOf(number)]).toString("base64") });
      await inline(1);
      await producer.add(0, [entryOf(2)]);
      await inline(3);
      const taken: number[] = [];
      await backend.consumer(0, async (entries) => void taken.push(...numbersOf(entries))).start();
      await drained();
      expect(taken.toSorted()).toEqual([1, 2, 3]);
    },
  );

  test("bytes whose job was refused expire", LONG, async () => {
    await redis.set(`${base}:wait`, "not a list");
    await expect(producer.add(0, [entryOf(1)])).rejects.toMatchObject({ reason: "queue.refused" });
    await waitFor(async () => (await expiries()).every((ms) => ms > 0 && ms <= ORPHAN_MS), {
      what: "an expiry",
    });
    expect(await keys()).toHaveLength(1);
  });

  test("P2: bytes of a job that was handled but not completed stay with it", LONG, async () => {
    await producer.add(0, [entryOf(1)]);
    const [key = ""] = await keys();
    let tries = 0;
    // At the first try its own lock is taken away, so that it may not complete what it has handled.
    const handle = async () => {
      tries += 1;
      if (tries > 1) return;
      await redis.set(key.replace(/logs$/, "lock"), "another consumer's", "PX", 100);
    };
    await backend.consumer(0, handle).start();
    await drained();
    expect(tries).toBe(2);
  });

  test("a consumer that comes after the completion reports no missing bytes", LONG, async () => {
    const bytes = claimedBytes(redis, base);
    await expect(bytes.read("1")).rejects.toThrow("completed by another consumer");
    await rawAdd({ beside: true });
    await expect(bytes.read("1")).rejects.toMatchObject({ reason: "claim.missing" });
  });
});
