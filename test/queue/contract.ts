/**
 * What every queue backend must do. Run against Redis, PostgreSQL and the embedded database.
 * @module
 */
import { createHash } from "node:crypto";
import type { JobsOptions } from "bullmq";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type {
  DeltaProducer,
  PoisonJob,
  QueueBackend,
  QueueEntry,
  QueueOptions,
} from "../../src/queue/index.ts";
import { waitFor } from "../support/wait.ts";
import { builtFile } from "./embedded-worker-url.ts";

/** A consumer in another process whose handler never ends. */
export interface StuckProcess {
  /** Resolves when its handler has taken a job. */
  readonly holding: Promise<void>;
  kill9(): Promise<void>;
}

export interface Rig {
  backend(
    options: Pick<QueueOptions, "shards" | "prefix" | "log" | "consumer">,
  ): Promise<QueueBackend>;
  /** Adds a job with BullMQ itself, past our producer. */
  rawAdd(queue: string, data: unknown, options: JobsOptions): Promise<void>;
  stuckConsumer(prefix: string): StuckProcess;
  /** kill -9 of the server and a new start on the same data; or why it promises nothing then. */
  killServer: { kill9(): Promise<void>; restart(): Promise<void> } | string;
  stop(): Promise<void>;
}

const FAST = { lockMs: 1_000, stalledCheckMs: 250, stopTimeoutMs: 500, sweepMs: 200 };
const LONG = { timeout: 60_000 };

const quiet = () => {};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };

/** Bytes that no text encoding survives, different for every index. */
function frameOf(index: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 1) frame[at] = (index * 31 + at) & 0xff;
  return frame;
}

const entryOf = (index: number, bytes = 40): QueueEntry => ({
  key: { tenant: "tenant", device: `tv-${index}` },
  receivedAtMs: 1_700_000_000_000 + index,
  frame: frameOf(index, bytes),
});

const numberOf = (entry: QueueEntry) => entry.receivedAtMs - 1_700_000_000_000;
const digest = (entries: readonly QueueEntry[]) => {
  const hash = createHash("sha256");
  for (const { key, receivedAtMs, frame } of entries) {
    hash.update(`${key.tenant}/${key.device}/${receivedAtMs}/`).update(frame);
  }
  return hash.digest("hex");
};

export function queueContract(name: string, start: () => Promise<Rig>): void {
  describe(`queue on ${name}`, () => {
    let rig: Rig;
    let run = 0;
    const open: QueueBackend[] = [];

    beforeAll(async () => {
      // Builds when it must, and now: later it would stall this process in the middle of a test.
      builtFile(".");
      rig = await start();
    }, 120_000);
    afterEach(async () => {
      for (const backend of open.splice(0)) await backend.close();
    }, 30_000);
    afterAll(async () => {
      await rig?.stop();
    }, 60_000);

    /** A backend with queues of its own, so that tests do not meet. */
    async function fresh(options: Partial<QueueOptions> = {}) {
      run += 1;
      const prefix = options.prefix ?? `t${run}`;
      const consumer = { ...FAST, ...options.consumer };
      const backend = await rig.backend({ shards: options.shards ?? 1, prefix, log, consumer });
      open.push(backend);
      return { backend, prefix, producer: await backend.producer() };
    }

    const drained = (producer: DeltaProducer) =>
      waitFor(async () => (await producer.depth()) === 0, { what: "an empty queue", everyMs: 50 });

    test(
      "P1: what was added arrives once, whole, byte for byte, when nothing fails",
      LONG,
      async () => {
        const { backend, producer } = await fresh({ shards: 3 });
        const got: QueueEntry[][] = [[], [], []];
        for (const shard of [0, 1, 2]) {
          await backend
            .consumer(shard, async (entries) => {
              got[shard]?.push(...entries);
            })
            .start();
        }
        const sent = [0, 1, 2].map((shard) =>
          Array.from({ length: 200 }, (_, index) =>
            entryOf(1_000 * shard + index, (index * 7) % 600),
          ),
        );
        await Promise.all(
          sent.flatMap((entries, shard) => entries.map((entry) => producer.add(shard, [entry]))),
        );
        await waitFor(() => got.flat().length === 600, { what: "600 entries" });
        const inOrder = got.map((entries) => entries.toSorted((a, b) => numberOf(a) - numberOf(b)));
        expect(inOrder.map(digest)).toEqual(sent.map(digest));
      },
    );

    test("a batch larger than a job is cut and none of it is missing", LONG, async () => {
      const { backend, producer } = await fresh();
      const got: QueueEntry[] = [];
      await backend.consumer(0, async (entries) => void got.push(...entries)).start();
      const sent = Array.from({ length: 2_500 }, (_, index) => entryOf(index, 1_500));
      await producer.add(0, sent);
      await waitFor(() => got.length === sent.length, { what: "2,500 entries" });
      expect(digest(got.toSorted((a, b) => numberOf(a) - numberOf(b)))).toBe(digest(sent));
    });

    test(
      "jobs of a shard are handled in the order of their adds by one consumer",
      LONG,
      async () => {
        const { backend, producer } = await fresh({ consumer: { concurrency: 1 } });
        const adds = Array.from({ length: 300 }, (_, index) => producer.add(0, [entryOf(index)]));
        await Promise.all(adds);
        for (let index = 300; index < 330; index += 1) await producer.add(0, [entryOf(index)]);
        const got: number[] = [];
        await backend
          .consumer(0, async (entries) => void got.push(...entries.map(numberOf)))
          .start();
        await waitFor(() => got.length === 330, { what: "330 entries" });
        expect(got).toEqual(Array.from({ length: 330 }, (_, index) => index));
      },
    );

    test("many jobs are handled at once", LONG, async () => {
      const { backend, producer } = await fresh();
      for (let index = 0; index < 12; index += 1) await producer.add(0, [entryOf(index)]);
      let running = 0;
      let finish = quiet;
      const gate = new Promise<void>((resolve) => {
        finish = resolve;
      });
      await backend
        .consumer(0, async () => {
          running += 1;
          await gate;
        })
        .start();
      await waitFor(() => running === 12, { what: "12 handlers at once" });
      finish();
      await drained(producer);
    });

    test("a refused job is handed over again until the handler takes it", LONG, async () => {
      const { backend, producer } = await fresh();
      const seen = new Map<number, number>();
      const taken: number[] = [];
      await backend
        .consumer(0, async ([entry]) => {
          if (entry === undefined) return;
          const number = numberOf(entry);
          const times = (seen.get(number) ?? 0) + 1;
          seen.set(number, times);
          // Messages and names to which BullMQ gives a meaning of its own.
          if (times === 1) throw new Error("bullmq:rateLimitExceeded");
          if (times === 2) throw Object.assign(new Error("x"), { name: "UnrecoverableError" });
          if (times === 3) throw Object.assign(new Error("x"), { name: "DelayedError" });
          taken.push(number);
        })
        .start();
      for (let index = 0; index < 3; index += 1) await producer.add(0, [entryOf(index)]);
      await waitFor(() => taken.length === 3, { what: "3 jobs taken" });
      await drained(producer);
      expect(taken.toSorted()).toEqual([0, 1, 2]);
      expect([...seen.values()]).toEqual([4, 4, 4]);
    });

    test("depth counts what waits and what runs, over all shards", LONG, async () => {
      const { backend, producer } = await fresh({ shards: 2 });
      expect(await producer.depth()).toBe(0);
      for (let index = 0; index < 5; index += 1) await producer.add(index % 2, [entryOf(index)]);
      expect(await producer.depth()).toBe(5);
      let finish = quiet;
      const gate = new Promise<void>((resolve) => {
        finish = resolve;
      });
      let running = 0;
      const consumer = backend.consumer(0, async () => {
        running += 1;
        await gate;
      });
      await consumer.start();
      await waitFor(() => running === 3, { what: "3 running jobs" });
      expect(await producer.depth()).toBe(5);
      finish();
      await waitFor(async () => (await producer.depth()) === 2, { what: "a depth of 2" });
    });

    test(
      "stop() ends despite a stuck handler, and another consumer runs its job",
      LONG,
      async () => {
        const { backend, producer } = await fresh();
        let held = 0;
        const stuck = backend.consumer(0, () => {
          held += 1;
          return new Promise(() => {});
        });
        await stuck.start();
        await producer.add(0, [entryOf(7)]);
        await waitFor(() => held === 1, { what: "the stuck handler" });
        await stuck.stop();
        await stuck.stop();
        const got: number[] = [];
        await backend
          .consumer(0, async (entries) => void got.push(...entries.map(numberOf)))
          .start();
        await waitFor(() => got.length > 0, { what: "the job to run again" });
        expect(got).toEqual([7]);
      },
    );

    test("stop() waits for a handler that ends in time, and its job is done", LONG, async () => {
      const { backend, producer } = await fresh({ consumer: { stopTimeoutMs: 20_000 } });
      let finish = quiet;
      let done = false;
      const consumer = backend.consumer(0, async () => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        done = true;
      });
      await consumer.start();
      await producer.add(0, [entryOf(1)]);
      await waitFor(() => finish !== quiet, { what: "the handler" });
      const stopping = consumer.stop();
      finish();
      await stopping;
      expect(done).toBe(true);
      expect(await producer.depth()).toBe(0);
    });

    test("P2: the job of a process that got kill -9 is run by another", LONG, async () => {
      const { backend, producer, prefix } = await fresh();
      const victim = rig.stuckConsumer(prefix);
      await producer.add(0, [entryOf(1), entryOf(2)]);
      await victim.holding;
      await victim.kill9();
      const got: number[] = [];
      await backend.consumer(0, async (entries) => void got.push(...entries.map(numberOf))).start();
      await waitFor(() => got.length >= 2, { what: "the orphaned job" });
      expect(got).toEqual([1, 2]);
      await drained(producer);
    });

    test(
      "a job whose bytes are no batch is reported with its reason and bytes, then gone",
      LONG,
      async () => {
        const { backend, producer, prefix } = await fresh();
        const poison: PoisonJob[] = [];
        let refuse = true;
        const onPoison = async (job: PoisonJob) => {
          poison.push(job);
          if (refuse) {
            refuse = false;
            throw new Error("the dead letters cannot be written just now");
          }
        };
        await backend.consumer(0, async () => {}, { onPoison }).start();
        const raw = Buffer.from("neither fish nor fowl").toString("base64");
        await rig.rawAdd(`{${prefix}-0}`, { batch: raw }, { attempts: 5, removeOnComplete: true });
        await drained(producer);
        expect(poison).toHaveLength(2);
        expect(poison[1]).toMatchObject({ shard: 0, reason: "batch.magic", raw });
        await rig.rawAdd(`{${prefix}-0}`, { other: [1] }, { attempts: 5, removeOnComplete: true });
        await waitFor(() => poison.length === 3, { what: "the second poison job" });
        expect(poison[2]).toMatchObject({ reason: "batch.truncated", raw: '{"other":[1]}' });
      },
    );

    test(
      "P2: a job that the backend gave up on is reported and put back, never dropped",
      LONG,
      async () => {
        const { backend, producer, prefix } = await fresh();
        const { encodeBatch } = await import("../../src/queue/index.ts");
        const failed: string[] = [];
        const got: number[] = [];
        let refusals = 1;
        const handle = async (entries: readonly QueueEntry[]) => {
          if (refusals-- > 0) throw new Error("not now");
          got.push(...entries.map(numberOf));
        };
        const consumer = backend.consumer(0, handle, {
          onFailed: (job) => failed.push(job.reason),
        });
        await consumer.start();
        const batch = Buffer.from(encodeBatch([entryOf(5)])).toString("base64");
        await rig.rawAdd(`{${prefix}-0}`, { batch }, { attempts: 1, removeOnComplete: true });
        await waitFor(() => got.length === 1, { what: "the failed job to run again" });
        expect(got).toEqual([5]);
        expect(failed).toEqual(["handler: not now"]);
        await drained(producer);
      },
    );

    test("closing ends it all, twice is once, and a closed producer refuses", LONG, async () => {
      const { backend, producer } = await fresh();
      await backend.consumer(0, async () => {}).start();
      await producer.add(0, [entryOf(1)]);
      await backend.close();
      await backend.close();
      await expect(producer.add(0, [entryOf(2)])).rejects.toMatchObject({
        reason: "queue.unavailable",
      });
      await expect(producer.depth()).rejects.toMatchObject({ reason: "queue.unavailable" });
    });

    test(
      "P1: kill -9 of the server loses nothing that was acknowledged, and adds go on after it",
      LONG,
      async ({ skip }) => {
        const server = rig.killServer;
        if (typeof server === "string") return skip(server);
        const { backend, producer } = await fresh({ shards: 2 });
        const got = [new Set<number>(), new Set<number>()] as const;
        const consume = (shard: 0 | 1) =>
          backend
            .consumer(shard, async (entries) => {
              for (const entry of entries) got[shard].add(numberOf(entry));
            })
            .start();
        // Shard 1 is read all along and lives through it; shard 0 only afterwards, from what was kept.
        await consume(1);
        const acked: [number[], number[]] = [[], []];
        const reasons = new Set<string>();
        const addAll = async (from: number, shard: 0 | 1, until: () => boolean) => {
          for (let index = from; !until(); index += 10) {
            try {
              await producer.add(shard, [entryOf(index)]);
              acked[shard].push(index);
            } catch (error) {
              reasons.add((error as { reason: string }).reason);
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }
        };
        let restarted = false;
        const done = (shard: 0 | 1) => () => restarted && acked[shard].length >= 900;
        const adders = Array.from({ length: 10 }, (_, from) => {
          const shard = from % 2 === 0 ? 0 : 1;
          return addAll(from, shard, done(shard));
        });
        await waitFor(() => acked[0].length > 300 && acked[1].length > 300, { what: "600 acks" });
        await server.kill9();
        await expect(producer.add(0, [entryOf(1_000_000)])).rejects.toThrow();
        await server.restart();
        restarted = true;
        await Promise.all(adders);
        expect([...reasons].sort().join()).toMatch(/^queue\.\w+(,queue\.\w+)*$/);
        await consume(0);
        for (const shard of [0, 1] as const) {
          const missing = () => acked[shard].filter((index) => !got[shard].has(index));
          await waitFor(() => missing().length === 0, {
            what: `every acknowledged entry of shard ${shard}`,
            timeoutMs: 30_000,
          });
        }
      },
    );
  });
}
