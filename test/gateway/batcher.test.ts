import { describe, expect, test } from "vitest";
import { Batcher } from "../../gateway/batcher.ts";
import { gatewayLimits } from "../../gateway/limits.ts";
import { type OmegaError, TimeoutError, TransportError } from "../../src/core/index.ts";
import { noMetrics, silentLogger } from "../../src/observe/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { HeldProducer } from "./uplink/fixture.ts";

const LINGER_MS = 3;

function setUp(limits: Parameters<typeof gatewayLimits>[0] = {}) {
  const producer = new HeldProducer();
  producer.hold();
  const clock = manualClock();
  const batcher = new Batcher({
    producer,
    shards: 2,
    limits: gatewayLimits({ batchLingerMs: LINGER_MS, ...limits }),
    clock,
    log: silentLogger,
    metrics: noMetrics,
  });
  const settled: [number, string | null][] = [];
  const add = (id: number, options: { shard?: number; bytes?: number } = {}) => {
    const frame = new Uint8Array(options.bytes ?? 4).fill(id);
    batcher.add(options.shard ?? 0, {
      entry: { key: { tenant: "t", device: "d" }, receivedAtMs: clock.nowMs(), frame },
      settled: (error: OmegaError | null) => settled.push([id, error?.reason ?? null]),
    });
  };
  const sizes = () => producer.held.map((held) => held.entries.length);
  return { producer, clock, batcher, settled, add, sizes };
}

const AWAY = new Error("the queue is away");

/** Lets settled promises run. */
const turn = () => new Promise(setImmediate);

describe("the batcher", () => {
  test("closes a batch when it lingered, and not before", async () => {
    const { clock, add, sizes } = setUp();
    add(1);
    await clock.advance(2);
    add(2);
    expect(sizes()).toEqual([]);
    await clock.advance(1);
    expect(sizes()).toEqual([2]);
  });

  test("a failed add counts against readiness until one succeeds, or for seven seconds when nothing is left to add", async () => {
    const { producer, batcher, clock, add } = setUp({ addTimeoutMs: 1_000 });
    add(1);
    await clock.advance(3);
    expect(batcher.reachable).toBe(true);
    producer.held[0]?.reject(AWAY);
    await turn();
    expect(batcher.reachable).toBe(false);
    await clock.advance(50);
    producer.held[1]?.resolve();
    await turn();
    expect(batcher.reachable).toBe(true);
    producer.answer = (held) => held.reject(AWAY);
    add(2);
    await clock.advance(1_003);
    expect(batcher.reachable).toBe(false);
    await clock.advance(6_999);
    expect(batcher.reachable).toBe(false);
    await clock.advance(1);
    expect(batcher.reachable).toBe(true);
  });

  test("P1: an add that failed is said again after a rest, in order, and nobody hears of it", async () => {
    const { producer, clock, add, settled } = setUp({ batchCountMax: 1, addsPerShardMax: 2 });
    for (const id of [1, 2, 3]) add(id);
    // The second fails first; the third has not begun.
    producer.held[1]?.reject(AWAY);
    producer.held[0]?.reject(AWAY);
    await clock.advance(49);
    expect(settled).toEqual([]);
    expect(producer.held).toHaveLength(2);
    await clock.advance(1);
    expect(producer.held.map((held) => held.entries[0]?.frame[0])).toEqual([1, 2, 1, 2]);
    producer.answer = (held) => held.resolve();
    producer.releaseAll();
    await turn();
    expect(settled).toEqual([
      [1, null],
      [2, null],
      [3, null],
    ]);
    expect(clock.pending).toBe(0);
  });

  test("a shard rests twice as long each time, a second at most, and briefly again after a success", async () => {
    const { producer, clock, add } = setUp({ batchCountMax: 1 });
    const addedAtMs: number[] = [];
    producer.answer = (held) => {
      addedAtMs.push(clock.monotonicMs());
      held.reject(AWAY);
    };
    add(1);
    await clock.advance(4_000);
    expect(addedAtMs).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550]);
    producer.answer = (held) => held.resolve();
    await clock.advance(1_000);
    addedAtMs.length = 0;
    producer.answer = (held) => {
      addedAtMs.push(clock.monotonicMs());
      held.reject(AWAY);
    };
    add(2);
    await clock.advance(100);
    expect(addedAtMs).toEqual([5_000, 5_050]);
  });

  test("while a shard rests its open batch fills; other shards go on", async () => {
    const { producer, clock, add, sizes } = setUp();
    add(1);
    await clock.advance(3);
    producer.held[0]?.reject(AWAY);
    await turn();
    for (let id = 2; id <= 9; id += 1) {
      add(id);
      await clock.advance(5);
    }
    add(10, { shard: 1 });
    await clock.advance(3);
    expect(sizes()).toEqual([1, 1]);
    expect(producer.held[1]?.shard).toBe(1);
    await clock.advance(7);
    expect(sizes()).toEqual([1, 1, 1, 8]);
  });

  test("P1: a batch that is stored and lacks its replicas fails at once, and the shard goes on", async () => {
    const { producer, clock, add, settled, sizes } = setUp();
    add(1);
    await clock.advance(3);
    producer.held[0]?.reject(new TimeoutError("queue.unreplicated", "0 of 1 replicas have it"));
    await turn();
    expect(settled).toEqual([[1, "queue.unreplicated"]]);
    add(2);
    await clock.advance(3);
    expect(sizes()).toEqual([1, 1]);
  });

  test("P1: at its deadline a batch fails with what its last add failed with, and is added no more", async () => {
    const { producer, clock, add, settled } = setUp({ addTimeoutMs: 1_000 });
    let adds = 0;
    producer.answer = (held) => {
      adds += 1;
      held.reject(new TransportError("queue.unavailable", "the queue is away"));
    };
    add(1);
    add(2);
    await clock.advance(1_002);
    expect(settled).toEqual([]);
    await clock.advance(1);
    expect(settled).toEqual([
      [1, "queue.unavailable"],
      [2, "queue.unavailable"],
    ]);
    const until = adds;
    await clock.advance(5_000);
    expect(adds).toBe(until);
    expect(clock.pending).toBe(0);
  });

  test("closes a batch at 64 deltas", () => {
    const { add, sizes } = setUp();
    for (let id = 0; id < 130; id += 1) add(id);
    expect(sizes()).toEqual([64, 64]);
  });

  test("goes on filling behind an add of its shard, until that is answered", async () => {
    const { clock, add, sizes, producer } = setUp();
    add(1);
    await clock.advance(3);
    add(2);
    await clock.advance(5);
    add(3);
    add(4, { shard: 1 });
    await clock.advance(3);
    expect(sizes()).toEqual([1, 1]);
    producer.held[0]?.resolve();
    await turn();
    expect(sizes()).toEqual([1, 1, 2]);
  });

  test("an answer closes no batch that has not lingered", async () => {
    const { clock, add, sizes, producer } = setUp();
    add(1);
    await clock.advance(3);
    add(2);
    producer.held[0]?.resolve();
    await turn();
    expect(sizes()).toEqual([1]);
    await clock.advance(3);
    expect(sizes()).toEqual([1, 1]);
  });

  test("waits for no add longer than three times what it lingers, and with 64 deltas not at all", async () => {
    const { clock, add, sizes } = setUp();
    add(1);
    await clock.advance(3);
    add(2);
    await clock.advance(8);
    expect(sizes()).toEqual([1]);
    await clock.advance(1);
    expect(sizes()).toEqual([1, 1]);
    for (let id = 0; id < 64; id += 1) add(id);
    expect(sizes()).toEqual([1, 1, 64]);
  });

  test("closes a batch before the delta that would make it too large", async () => {
    const { add, sizes, clock } = setUp({ batchBytesMax: 10_000 });
    for (const id of [1, 2, 3]) add(id, { bytes: 4_000 });
    expect(sizes()).toEqual([2]);
    await clock.advance(15);
    expect(sizes()).toEqual([2, 1]);
  });

  test("keeps shards apart", async () => {
    const { add, producer, clock } = setUp();
    add(1, { shard: 0 });
    add(2, { shard: 1 });
    await clock.advance(3);
    expect(producer.held.map((held) => held.shard)).toEqual([0, 1]);
  });

  test("closes the batches of all shards at one moment, when the oldest delta has lingered", async () => {
    const { add, producer, clock } = setUp();
    add(1, { shard: 1 });
    await clock.advance(2);
    add(2, { shard: 0 });
    await clock.advance(1);
    expect(producer.held.map((held) => held.shard)).toEqual([0, 1]);
    add(3, { shard: 0 });
    await clock.advance(2);
    expect(producer.held).toHaveLength(2);
  });

  test("adds at most so many batches of a shard at once, and begins them in order", async () => {
    const { add, producer, batcher, settled } = setUp({ batchCountMax: 1, addsPerShardMax: 2 });
    for (let id = 1; id <= 5; id += 1) add(id);
    expect(producer.held).toHaveLength(2);
    producer.held[1]?.resolve();
    await turn();
    expect(producer.held.map((held) => held.entries[0]?.frame[0])).toEqual([1, 2, 3]);
    producer.answer = (held) => held.resolve();
    producer.releaseAll();
    await batcher.flush();
    expect(settled.map(([id]) => id)).toEqual([2, 1, 3, 4, 5]);
    expect(producer.added.map((entry) => entry.frame[0])).toEqual([2, 1, 3, 4, 5]);
  });

  test("P1: an add that stays silent fails its deltas at the deadline, once", async () => {
    const { add, producer, clock, settled, batcher } = setUp({ addTimeoutMs: 50 });
    add(1);
    await clock.advance(3);
    await clock.advance(49);
    expect(settled).toEqual([]);
    await clock.advance(1);
    expect(settled).toEqual([[1, "queue.unknown"]]);
    producer.releaseAll();
    await turn();
    await batcher.flush();
    expect(settled).toEqual([[1, "queue.unknown"]]);
  });

  test("P1: a batch that could not even begin fails at its deadline too, and is never added", async () => {
    const { add, producer, clock, settled } = setUp({
      ...{ addTimeoutMs: 50, addsPerShardMax: 1, batchCountMax: 1 },
    });
    add(1);
    add(2);
    await clock.advance(50);
    expect(settled).toEqual([
      [1, "queue.unknown"],
      [2, "queue.unknown"],
    ]);
    producer.releaseAll();
    await turn();
    expect(producer.held).toEqual([]);
    expect(producer.added).toHaveLength(1);
  });

  test("P8: an add that never ends keeps its place, so that hung adds stay bounded", async () => {
    const { add, producer, clock } = setUp({ addTimeoutMs: 50, batchCountMax: 1 });
    for (let round = 0; round < 20; round += 1) {
      add(round);
      await clock.advance(60);
    }
    expect(producer.held).toHaveLength(4);
  });

  test("what a producer throws becomes a typed error for every delta of the batch", async () => {
    const { add, producer, clock, settled } = setUp({ addTimeoutMs: 100 });
    producer.answer = (held) => held.reject(new Error("boom"));
    add(1);
    add(2);
    await clock.advance(103);
    expect(settled).toEqual([
      [1, "queue.add"],
      [2, "queue.add"],
    ]);
  });

  test("flush adds at once and waits; abort fails what is left; neither leaves a timer", async () => {
    const { add, producer, batcher, settled, clock } = setUp();
    add(1);
    const flushed = batcher.flush();
    expect(producer.held).toHaveLength(1);
    producer.releaseAll();
    await flushed;
    add(2);
    batcher.abort();
    expect(settled).toEqual([
      [1, null],
      [2, "queue.closing"],
    ]);
    expect(clock.pending).toBe(0);
  });

  test("abort fails what rests, and no add is said again afterwards", async () => {
    const { add, producer, batcher, settled, clock } = setUp({ batchCountMax: 1 });
    add(1);
    add(2);
    producer.held[0]?.reject(AWAY);
    await turn();
    batcher.abort();
    producer.held[1]?.reject(AWAY);
    await clock.advance(5_000);
    expect(settled.toSorted()).toEqual([
      [1, "queue.closing"],
      [2, "queue.closing"],
    ]);
    expect(producer.held).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});
