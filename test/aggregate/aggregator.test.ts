import { describe, expect, it } from "vitest";
import { Aggregator, type AggregatorOptions } from "../../src/aggregate/aggregator.ts";
import { verifyShards } from "../../src/aggregate/verify.ts";
import { seededRandom, shardOf, TransportError } from "../../src/core/index.ts";
import type {
  DeltaConsumer,
  EntryHandler,
  PoisonJob,
  QueueBackend,
  QueueEntry,
} from "../../src/queue/index.ts";
import { memoryStore, type Store } from "../../src/store/index.ts";
import { type ManualClock, manualClock, settle } from "../support/manual-clock.ts";
import { absolute, deltaFrame, keyOf, NOW_MS, POLICY, queued, zstd } from "./frames.ts";
import { processModel } from "./process-model.ts";
import { watchOutcome } from "./writers.ts";

const SHARDS = 6;

/** The queue's promise in memory: a job is handed out again until a handler has resolved it. */
class MemoryQueue {
  readonly jobsAtOnce = 32;
  readonly #open = new Map<number, QueueEntry[][]>();
  readonly #handlers = new Map<number, Set<EntryHandler>>();
  /** Where each shard's consumer takes jobs that are no batch. */
  readonly poison = new Map<number, (job: PoisonJob) => Promise<void> | void>();
  startsToFail = 0;
  doneCount = 0;

  add(entry: QueueEntry): void {
    const shard = shardOf(entry.key, SHARDS);
    this.#open.set(shard, [...(this.#open.get(shard) ?? []), [entry]]);
  }

  consumer(...[shard, handle, hooks]: Parameters<QueueBackend["consumer"]>): DeltaConsumer {
    if (hooks?.onPoison !== undefined) this.poison.set(shard, hooks.onPoison);
    const handlers = this.#handlers.get(shard) ?? new Set();
    this.#handlers.set(shard, handlers);
    return {
      start: async () => {
        if (this.startsToFail > 0) {
          this.startsToFail -= 1;
          throw new TransportError("queue.unavailable", "as planned");
        }
        handlers.add(handle);
      },
      stop: async () => {
        handlers.delete(handle);
      },
    };
  }

  /** Hands every open job to every consumer of its shard. */
  pump(): void {
    for (const [shard, jobs] of this.#open) {
      for (const job of jobs) {
        for (const handle of this.#handlers.get(shard) ?? []) {
          handle(job, "job").then(
            () => {
              const left = (this.#open.get(shard) ?? []).filter((other) => other !== job);
              if (left.length < (this.#open.get(shard) ?? []).length) this.doneCount += 1;
              this.#open.set(shard, left);
            },
            () => {},
          );
        }
      }
    }
  }
}

function setUp() {
  const clock = manualClock(NOW_MS);
  return { clock, store: memoryStore({ shards: SHARDS, clock }), queue: new MemoryQueue() };
}

function aggregatorOn(
  queue: MemoryQueue,
  store: Store,
  clock: ManualClock,
  owner: string,
  options: Partial<AggregatorOptions> = {},
): Aggregator {
  return new Aggregator({
    queue,
    store,
    zstd,
    owner,
    clock,
    random: seededRandom(owner.length + owner.charCodeAt(0)),
    policy: { dimOf: () => 8 },
    settings: { tickMs: 100, leaseTtlMs: 1_000, commitIntervalMs: 20 },
    ...options,
  });
}

const all = (...aggregators: Aggregator[]) =>
  aggregators.flatMap((aggregator) => aggregator.held).sort((a, b) => a - b);

describe("aggregator", () => {
  it("alone it takes every shard, and gives them all back when it stops", async () => {
    const { clock, store, queue } = setUp();
    const only = aggregatorOn(queue, store, clock, "a");
    await only.start();
    expect(only.held).toEqual([0, 1, 2, 3, 4, 5]);
    await only.stop();
    await only.stop();
    expect(only.held).toEqual([]);
    expect(clock.pending).toBe(0);
    for (let shard = 0; shard < SHARDS; shard += 1) {
      expect(await store.acquireLease(`shard-${shard}`, "next", 1_000)).not.toBeNull();
    }
  });

  it("shares fairly with those who come later, and takes over from those who leave", async () => {
    const { clock, store, queue } = setUp();
    const [a, b, c] = ["a", "b", "c"].map((owner) => aggregatorOn(queue, store, clock, owner)) as [
      Aggregator,
      Aggregator,
      Aggregator,
    ];
    await a.start();
    await b.start();
    await clock.advance(1_500);
    expect([a.held.length, b.held.length]).toEqual([3, 3]);
    await c.start();
    await clock.advance(2_500);
    expect([a.held.length, b.held.length, c.held.length]).toEqual([2, 2, 2]);
    expect(all(a, b, c)).toEqual([0, 1, 2, 3, 4, 5]);
    await a.stop();
    await clock.advance(1_000);
    expect(all(b, c)).toEqual([0, 1, 2, 3, 4, 5]);
    await b.stop();
    await c.stop();
    expect(clock.pending).toBe(0);
  });

  it("P2: deltas keep being applied exactly once while shards change hands and a writer dies", async () => {
    const { clock, store, queue } = setUp();
    const keys = Array.from({ length: 40 }, (_, index) => keyOf(`tv-${index}`));
    const dying = processModel(store, clock);
    const a = aggregatorOn(queue, dying.store, clock, "a", { clock: dying.clock });
    const b = aggregatorOn(queue, store, clock, "b");
    await a.start();
    for (let seq = 1; seq <= 6; seq += 1) {
      for (const key of keys) {
        queue.add(queued(key, deltaFrame({ seq, upserts: [absolute("a", seq)] }), clock.nowMs()));
      }
      queue.pump();
      if (seq === 2) await b.start();
      if (seq === 4) dying.kill();
      await clock.advance(150);
      queue.pump();
    }
    for (let round = 0; queue.doneCount < keys.length * 6 && round < 60; round += 1) {
      queue.pump();
      await clock.advance(200);
    }
    const verdicts = await verifyShards(store, keys, POLICY, NOW_MS);
    expect(verdicts.flatMap((verdict) => verdict.mismatches)).toEqual([]);
    expect(verdicts.reduce((sum, { stats }) => sum + stats.applied, 0)).toBe(keys.length * 6);
    expect(verdicts.reduce((sum, { consumed }) => sum + consumed, 0)).toBe(keys.length * 6);
    expect(b.held).toEqual([0, 1, 2, 3, 4, 5]);
    await b.stop();
  });

  it("a queue that does not answer costs the shard, not the aggregator", async () => {
    const { clock, store, queue } = setUp();
    queue.startsToFail = 1;
    const only = aggregatorOn(queue, store, clock, "a");
    await only.start();
    expect(only.held).toEqual([]);
    await clock.advance(500);
    expect(only.held).toEqual([0, 1, 2, 3, 4, 5]);
    await only.stop();
    expect(clock.pending).toBe(0);
  });

  it("is ready while it looks for shards with success, even when others hold them all", async () => {
    const { clock, store, queue } = setUp();
    const dying = processModel(store, clock);
    const a = aggregatorOn(queue, store, clock, "a");
    const b = aggregatorOn(queue, dying.store, clock, "b", { shards: [0] });
    expect(a.health.ready()).toEqual({ ready: false, reasons: ["aggregator.idle"] });
    await a.start();
    await b.start();
    expect(b.held).toEqual([]);
    expect([a.health.ready(), b.health.ready()]).toEqual(
      Array(2).fill({ ready: true, reasons: [] }),
    );
    dying.kill();
    await clock.advance(600);
    expect(a.health.ready().ready).toBe(true);
    expect(b.health.ready()).toEqual({ ready: false, reasons: ["aggregator.tick-late"] });
    expect(b.health.live()).toBe(true);
    await a.stop();
    expect(a.health.ready()).toEqual({ ready: false, reasons: ["aggregator.stopped"] });
  });

  it("a job that is no batch is kept as a dead letter of its shard", async () => {
    const { clock, store, queue } = setUp();
    const only = aggregatorOn(queue, store, clock, "a");
    await only.start();
    const job = { shard: 4, jobId: "1", reason: "batch.magic", detail: "no batch", raw: "fish" };
    await queue.poison.get(4)?.(job);
    expect(await store.deadLetters(4, 9)).toMatchObject([
      { reason: "batch.magic", detail: "no batch" },
    ]);
    await only.stop();
  });

  it("forgets a device on a shard it holds, and says so when it does not", async () => {
    const { clock, store, queue } = setUp();
    const only = aggregatorOn(queue, store, clock, "a");
    const key = keyOf("tv-1");
    await expect(only.forget(key)).rejects.toMatchObject({ reason: "shard.elsewhere" });
    await only.start();
    queue.add(queued(key, deltaFrame({ seq: 1, upserts: [absolute("a", 1)] }), NOW_MS));
    queue.pump();
    await clock.advance(50);
    const forgetting = watchOutcome(only.forget(key));
    await settle();
    expect(forgetting.state).toBe("done");
    expect(await store.cursors([key])).toEqual([null]);
    await only.stop();
  });

  it("shows the registers of a tenant's devices that it has in memory, device by device", async () => {
    const { clock, store, queue } = setUp();
    const only = aggregatorOn(queue, store, clock, "a");
    await only.start();
    for (const [name, tenant] of [
      ["tv-1", "acme"],
      ["tv-2", "acme"],
      ["tv-3", "acme"],
      ["tv-1", "acme2"],
    ] as const) {
      const upserts = [absolute("a", 1), absolute("b", 2)];
      const frame = deltaFrame({ seq: 1, upserts, removals: ["c"] });
      queue.add(queued(keyOf(name, tenant), frame, NOW_MS));
    }
    queue.pump();
    await clock.advance(50);
    const counts = (tenant: string) =>
      [...only.inMemory(tenant)].flatMap((shard) =>
        [...shard].map((registers) => [...registers].map((register) => register?.kind)),
      );
    expect(counts("acme")).toEqual(new Array(3).fill(["live", "live", "tombstone"]));
    expect(counts("acme2")).toHaveLength(1);
    expect(counts("nobody")).toEqual([]);
    await only.stop();
    expect(counts("acme")).toEqual([]);
  });

  it("a retention out of range is refused", () => {
    const { clock, store, queue } = setUp();
    expect(() => aggregatorOn(queue, store, clock, "a", { policy: { bucketMs: 5 } })).toThrow(
      /bucketMs/,
    );
  });
});
