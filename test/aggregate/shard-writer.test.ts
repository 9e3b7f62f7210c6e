import { describe, expect, it } from "vitest";
import { decodeRegister } from "../../src/aggregate/register.ts";
import { ShardWriter } from "../../src/aggregate/shard-writer.ts";
import { verifyShards } from "../../src/aggregate/verify.ts";
import { type DeviceKey, shardOf } from "../../src/core/index.ts";
import { createMetrics } from "../../src/observe/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import { memoryStore, type Store } from "../../src/store/index.ts";
import { manualClock, settle } from "../support/manual-clock.ts";
import { faultyStore } from "./faults.ts";
import {
  absolute,
  type DeltaSpec,
  deltaFrame,
  foldable,
  kept,
  keyOf,
  NOW_MS,
  POLICY,
  queued,
} from "./frames.ts";
import { printed, referenceFold } from "./reference.ts";
import { openWriter, watchOutcome, writerContext } from "./writers.ts";

const TV = keyOf("tv-1");

function delta(key: DeviceKey, spec: DeltaSpec): QueueEntry {
  return queued(key, deltaFrame(spec));
}

function setUp() {
  const clock = manualClock(NOW_MS);
  const faulty = faultyStore(memoryStore({ shards: 1, clock }));
  return { clock, faulty, store: faulty.store };
}

/** Everything the store holds of the sums of shard 0, and whether its registers agree. */
async function stored(store: Store, keys: readonly DeviceKey[]) {
  const [verdict] = await verifyShards(store, keys, POLICY, NOW_MS);
  const { sums, commitNumber } = await store.loadShard(0);
  const table = new Map<string, Uint8Array>();
  for (const { tenant, pattern, bucket, blob } of sums) {
    if (bucket > 0 && blob !== null) table.set(`${tenant}/${pattern}/${bucket}`, blob);
  }
  return { ...verdict, table: printed(table), commitNumber };
}

function expected(entries: readonly QueueEntry[]): string[] {
  return printed(
    referenceFold(
      entries.map((entry) => foldable(entry)),
      POLICY,
    ),
  );
}

describe("shard writer", () => {
  it("a commit waits for nothing when the queue has no more to hand over", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock, { jobsAtOnce: 2 });
    const handle = (device: string, spec: DeltaSpec) =>
      watchOutcome(writer.handle([delta(keyOf(device), spec)]));
    const one = handle("tv-1", { seq: 1, upserts: [absolute("a", 1)] });
    await settle();
    expect(one.state).toBe("open");
    const two = handle("tv-2", { seq: 1, upserts: [absolute("a", 1)] });
    await settle();
    expect([one.state, two.state]).toEqual(["done", "done"]);
    expect(faulty.calls("commit")).toBe(1);
    // Jobs that wait for a delta before theirs leave nothing to commit, and are not tried without end.
    const early = ["tv-1", "tv-2"].map((name) => handle(name, { seq: 3, upserts: [kept("a", 2)] }));
    await settle();
    const folds = faulty.calls("loadDevices");
    await clock.advance(100);
    expect(faulty.calls("loadDevices")).toBeLessThanOrEqual(folds + 2);
    expect(early.map(({ state }) => state)).toEqual(["open", "open"]);
    await writer.stop();
  });

  it("reads no more than the next commit takes, and in the order of the jobs", async () => {
    const { clock, store } = setUp();
    const seen: string[] = [];
    const entryOf = (device: string): QueueEntry => {
      const entry = delta(keyOf(device), { seq: 1, upserts: [absolute("a", 1)] });
      return {
        ...entry,
        get frame() {
          seen.push(device);
          return entry.frame;
        },
      };
    };
    let begun = 0;
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const beforeCommit = async () => {
      begun += 1;
      if (begun === 1) await gate;
    };
    const writer = await openWriter(store, clock, {
      settings: { commitEntriesMax: 2 },
      beforeCommit,
    });
    const names = ["tv-1", "tv-2", "tv-3", "tv-4", "tv-5", "tv-6", "tv-7"];
    const jobs = names.map((name) => watchOutcome(writer.handle([entryOf(name)])));
    await settle();
    // Two in the commit that does not end, two for the one behind it.
    expect(begun).toBe(1);
    expect(seen).toEqual(names.slice(0, 4));
    goOn();
    await clock.advance(200);
    expect(seen).toEqual(names);
    expect(jobs.map(({ state }) => state)).toEqual(names.map(() => "done"));
    expect(begun).toBe(4);
    await writer.stop();
  });

  it("what stands outside is given back at a stop, and with a shard that is lost", async () => {
    const { clock, store, faulty } = setUp();
    const entries = ["tv-1", "tv-2", "tv-3"].map((name) =>
      delta(keyOf(name), { seq: 1, upserts: [absolute("a", 1)] }),
    );
    for (const leave of ["stop", "lose"] as const) {
      const wishes = { settings: { commitEntriesMax: 1 }, owner: leave };
      const writer = await openWriter(store, clock, wishes);
      faulty.plan("commit", "hangs");
      const jobs = entries.map((entry) => watchOutcome(writer.handle([entry])));
      await settle();
      expect(jobs.map(({ state }) => state)).toEqual(["open", "open", "open"]);
      if (leave === "lose") faulty.plan("renewLease", "hangs", "hangs", "hangs");
      const stopped = leave === "stop" ? writer.stop() : null;
      await settle();
      if (leave === "stop") expect(jobs[2]?.state).toBe("lease.lost");
      await clock.advance(3_000);
      const lost = ["lease.lost", "lease.lost", "lease.lost"];
      expect(jobs.map(({ state }) => state)).toEqual(lost);
      await stopped;
    }
  });

  it("many jobs become one commit, and resolve only when the store has it", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock);
    const keys = [keyOf("tv-1"), keyOf("tv-2"), keyOf("tv-3")];
    const entries = keys.map((key) => delta(key, { seq: 1, upserts: [absolute("a", 1)] }));
    const jobs = entries.map((entry) => watchOutcome(writer.handle([entry])));
    await clock.advance(99);
    expect(jobs.map((job) => job.state)).toEqual(["open", "open", "open"]);
    await clock.advance(1);
    expect(jobs.map((job) => job.state)).toEqual(["done", "done", "done"]);
    expect(faulty.calls("commit")).toBe(1);
    expect(faulty.calls("loadDevices")).toBe(1);
    expect(await stored(store, keys)).toMatchObject({
      mismatches: [],
      commitNumber: 1,
      consumed: 3,
      stats: { applied: 3, duplicates: 0, deadLettered: 0 },
      table: expected(entries),
    });
    await writer.stop();
    expect(clock.pending).toBe(0);
  });

  it("a full commit does not wait, and devices seen lately are not read again", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock, { settings: { commitEntriesMax: 2 } });
    for (const seq of [1, 3, 5]) {
      const pair = [seq, seq + 1].map((at) => delta(TV, { seq: at, upserts: [absolute("a", at)] }));
      await writer.handle(pair);
    }
    expect(faulty.calls("commit")).toBe(3);
    expect(faulty.calls("loadDevices")).toBe(1);
    await writer.stop();
  });

  it("P2: a job that needs several commits resolves with the last of them, not before", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock, { settings: { commitEntriesMax: 2 } });
    faulty.plan("commit", "done-unheard", "hangs");
    const entries = [1, 2, 3].map((seq) => delta(TV, { seq, upserts: [absolute("a", seq)] }));
    const first = watchOutcome(writer.handle(entries.slice(0, 2)));
    const job = watchOutcome(writer.handle(entries));
    await clock.advance(90);
    expect([first.state, job.state]).toEqual(["open", "open"]);
    expect(await stored(store, [TV])).toMatchObject({ stats: { applied: 2 } });
    const stopping = writer.stop();
    await clock.advance(2_000);
    await stopping;
    expect([first.state, job.state]).toEqual(["lease.lost", "lease.lost"]);
    const waiting = await openWriter(store, clock, { owner: "writer-2" });
    const half = watchOutcome(
      waiting.handle([
        ...entries.slice(2),
        delta(keyOf("tv-2"), { seq: 2, upserts: [kept("a", 1)] }),
      ]),
    );
    await clock.advance(100);
    expect(await stored(store, [TV])).toMatchObject({ stats: { applied: 3 } });
    expect(half.state).toBe("open");
    await waiting.stop();
    expect(half.state).toBe("lease.lost");
  });

  it("P2: one poisoned frame among a hundred costs only itself, and its device is told", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const told: DeviceKey[] = [];
    await store.watch({ onRelease() {}, onProblems: (key) => told.push(key) });
    const keys = Array.from({ length: 100 }, (_, index) => keyOf(`tv-${index}`));
    const entries = keys.map((key, index) =>
      index === 42
        ? queued(key, Uint8Array.of(0xce, 1, 0, 0xff))
        : delta(key, { seq: 1, upserts: [absolute("a", index + 1)] }),
    );
    const job = watchOutcome(writer.handle(entries));
    await clock.advance(100);
    expect(job.state).toBe("done");
    const state = await stored(store, keys);
    expect(state.stats).toEqual({ applied: 99, duplicates: 0, deadLettered: 1 });
    expect(state.mismatches).toEqual([]);
    expect(told).toEqual([keys[42]]);
    expect((await store.deadLetters(0, 9)).map((letter) => letter.key)).toEqual([keys[42]]);
    await writer.stop();
  });

  it("P2: a crash between fold and commit is a batch that never was", async () => {
    const { clock, store } = setUp();
    const dying = await openWriter(store, clock, { beforeCommit: () => new Promise(() => {}) });
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = watchOutcome(dying.handle([entry]));
    await clock.advance(100);
    expect(job.state).toBe("open");
    expect(await stored(store, [TV])).toMatchObject({ commitNumber: 0, rows: 0, consumed: 0 });
    // As long as its process lives it renews its lease; then the process ends.
    await clock.advance(1_500);
    expect(await store.acquireLease("shard-0", "writer-2", 1_000)).toBeNull();
    const dead = dying.stop();
    await clock.advance(2_000);
    await dead;
    const owner = await openWriter(store, clock, { owner: "writer-2" });
    const again = watchOutcome(owner.handle([entry]));
    await clock.advance(100);
    expect(again.state).toBe("done");
    expect(await stored(store, [TV])).toMatchObject({ commitNumber: 1, table: expected([entry]) });
    await owner.stop();
  });

  it("P2: a crash after the commit finds the cursors ahead and skips", async () => {
    const { clock, store, faulty } = setUp();
    // The commit is kept, its answer is lost, and so is every later one: the process is gone.
    faulty.plan("commit", "done-unheard", "hangs");
    const dying = await openWriter(store, clock);
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = watchOutcome(dying.handle([entry]));
    await clock.advance(300);
    expect(job.state).toBe("open");
    const dead = dying.stop();
    await clock.advance(2_000);
    await dead;
    const owner = await openWriter(store, clock, { owner: "writer-2" });
    const again = watchOutcome(owner.handle([entry]));
    await clock.advance(100);
    expect(again.state).toBe("done");
    expect(await stored(store, [TV])).toMatchObject({
      mismatches: [],
      stats: { applied: 1, duplicates: 1, deadLettered: 0 },
      table: expected([entry]),
    });
    await owner.stop();
  });

  it("an unknown outcome is asked again under the same number, and applied once", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock);
    faulty.plan("commit", "done-unheard", "unavailable", "unavailable");
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = watchOutcome(writer.handle([entry]));
    await clock.advance(600);
    expect(job.state).toBe("done");
    expect(faulty.calls("commit")).toBe(4);
    expect(await stored(store, [TV])).toMatchObject({
      commitNumber: 1,
      mismatches: [],
      stats: { applied: 1, duplicates: 0, deadLettered: 0 },
      table: expected([entry]),
    });
    await writer.stop();
  });

  it("a stale writer's commit is refused, and the new owner does its job exactly once", async () => {
    const { clock, store, faulty } = setUp();
    const stale = await openWriter(store, clock);
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = watchOutcome(stale.handle([entry]));
    // Its renewals go unheard, as in a long pause; the store gives the lease to another.
    await store.releaseLease("shard-0", 1);
    const owner = await openWriter(store, clock, { owner: "writer-2" });
    await clock.advance(100);
    expect(job.state).toBe("lease.lost");
    expect(stale.signal.aborted).toBe(true);
    expect(await stored(store, [TV])).toMatchObject({ commitNumber: 0 });
    const again = watchOutcome(owner.handle([entry]));
    await clock.advance(100);
    expect(again.state).toBe("done");
    expect(await stored(store, [TV])).toMatchObject({
      stats: { applied: 1, duplicates: 0, deadLettered: 0 },
      table: expected([entry]),
    });
    expect(faulty.calls("commit")).toBe(2);
    await stale.stop();
    await owner.stop();
    expect(clock.pending).toBe(0);
  });

  it("a lease that cannot be renewed is given up in time, in the middle of a batch", async () => {
    const { clock, store, faulty } = setUp();
    let folded = 0;
    const writer = await openWriter(store, clock, {
      beforeCommit: () => {
        folded += 1;
        return new Promise(() => {});
      },
    });
    faulty.plan("renewLease", ...Array.from({ length: 50 }, () => "unavailable" as const));
    const jobs = [1, 2].map((seq) =>
      watchOutcome(writer.handle([delta(TV, { seq, upserts: [absolute("a", seq)] })])),
    );
    await clock.advance(999);
    expect(jobs.map((job) => job.state)).toEqual(["open", "open"]);
    await clock.advance(1);
    expect(jobs.map((job) => job.state)).toEqual(["lease.lost", "lease.lost"]);
    expect(folded).toBe(1);
    await expect(writer.handle([])).rejects.toMatchObject({ reason: "lease.lost" });
    await writer.stop();
    expect(clock.pending).toBe(0);
  });

  it("a job that is no batch becomes one dead letter of nobody's, however often it comes", async () => {
    const clock = manualClock(NOW_MS);
    const faulty = faultyStore(memoryStore({ shards: 5, clock }));
    const { store } = faulty;
    const writer = await ShardWriter.open(3, writerContext(store, clock));
    const raw = Buffer.from("neither fish nor fowl").toString("base64");
    const job = { shard: 3, jobId: "1", reason: "batch.magic", detail: "no batch", raw };
    faulty.plan("commit", "unavailable");
    const burial = watchOutcome((writer as ShardWriter).bury(job));
    await clock.advance(1_000);
    expect(burial.state).toBe("done");
    await writer?.bury(job);
    await writer?.bury({ ...job, jobId: "2" });
    const letters = await store.deadLetters(3, 10);
    expect(letters.map(({ reason, position }) => [reason, position])).toEqual(
      Array(2).fill(["batch.magic", null]),
    );
    expect(letters.map(({ frame }) => Buffer.from(frame).toString())).toEqual([raw, raw]);
    expect(new Set(letters.map(({ key }) => key.tenant))).toEqual(new Set(["-"]));
    expect(await store.stats(3)).toEqual({ applied: 0, duplicates: 1, deadLettered: 2 });
    const key = Array.from({ length: 99 }, (_, index) => keyOf(`tv-${index}`)).find(
      (candidate) => shardOf(candidate, 5) === 3,
    );
    const next = watchOutcome(
      (writer as ShardWriter).handle([
        delta(key as DeviceKey, { seq: 1, upserts: [absolute("a", 1)] }),
      ]),
    );
    await clock.advance(100);
    expect(next.state).toBe("done");
    await writer?.stop();
    await expect(writer?.bury(job)).rejects.toMatchObject({ reason: "lease.lost" });
    expect(clock.pending).toBe(0);
  });

  it("renewals keep the shard for as long as the writer lives", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    await clock.advance(20_000);
    expect(writer.signal.aborted).toBe(false);
    const other = await ShardWriter.open(0, writerContext(store, clock, { owner: "writer-2" }));
    expect(other).toBeNull();
    await writer.stop();
  });

  it("a delta waits for the one it refers to, in another job, and is then applied", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const second = delta(TV, { seq: 2, upserts: [kept("a", 1, 55)] });
    const first = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const late = watchOutcome(writer.handle([second]));
    await clock.advance(300);
    expect(late.state).toBe("open");
    const early = watchOutcome(writer.handle([first]));
    await clock.advance(100);
    expect([early.state, late.state]).toEqual(["done", "done"]);
    expect(await stored(store, [TV])).toMatchObject({
      stats: { applied: 2, deadLettered: 0 },
      table: expected([first, second]),
    });
    await writer.stop();
  });

  it("the wait is bounded: then the delta is dead-lettered as reference.missing", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const job = watchOutcome(writer.handle([delta(TV, { seq: 2, upserts: [kept("a", 1)] })]));
    await clock.advance(599);
    expect(job.state).toBe("open");
    await clock.advance(200);
    expect(job.state).toBe("done");
    expect((await store.deadLetters(0, 1))[0]).toMatchObject({ reason: "reference.missing" });
    await writer.stop();
  });

  it("P8: no more than deferredMax deltas wait at once", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock, { settings: { deferredMax: 2 } });
    const keys = ["x", "y", "z"].map((name) => keyOf(name));
    const jobs = keys.map((key) =>
      watchOutcome(writer.handle([delta(key, { seq: 2, upserts: [kept("a", 1)] })])),
    );
    await clock.advance(200);
    expect(jobs.map((job) => job.state)).toEqual(["done", "open", "open"]);
    await writer.stop();
    expect(jobs.map((job) => job.state)).toEqual(["done", "lease.lost", "lease.lost"]);
  });

  it("stop commits what is open, refuses what is new, and frees the lease", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = watchOutcome(writer.handle([entry]));
    await writer.stop();
    await settle();
    expect(job.state).toBe("done");
    await expect(writer.handle([entry])).rejects.toMatchObject({ reason: "lease.lost" });
    expect(await store.acquireLease("shard-0", "writer-2", 1_000)).toBe(2);
    await writer.stop();
    expect(clock.pending).toBe(0);
  });

  it("stop is bounded when the store hangs", async () => {
    const { clock, store, faulty } = setUp();
    const writer = await openWriter(store, clock);
    faulty.plan("commit", "hangs");
    const job = watchOutcome(writer.handle([delta(TV, { seq: 1, upserts: [absolute("a", 1)] })]));
    await clock.advance(100);
    const stopping = watchOutcome(writer.stop());
    await clock.advance(1_999);
    expect(stopping.state).toBe("open");
    await clock.advance(1);
    expect([stopping.state, job.state]).toEqual(["done", "lease.lost"]);
    expect(clock.pending).toBe(0);
  });

  it("an entry of another shard is not consumed: the job stays in the queue", async () => {
    const { clock } = setUp();
    const store = memoryStore({ shards: 64, clock });
    const writer = await openWriter(store, clock);
    const keys = Array.from({ length: 9 }, (_, index) => keyOf(`tv-${index}`));
    const job = writer.handle(keys.map((key) => delta(key, { seq: 1, removals: ["a"] })));
    await expect(job).rejects.toMatchObject({ code: "InvalidConfig" });
    await writer.stop();
  });

  it("sums of another dimension than configured are refused at the door", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const job = writer.handle([delta(TV, { seq: 1, upserts: [absolute("a", 1)] })]);
    await clock.advance(100);
    await job;
    await writer.stop();
    const other = writerContext(store, clock, { policy: { dimOf: () => 16 } });
    await expect(ShardWriter.open(0, other)).rejects.toMatchObject({ code: "InvalidConfig" });
    expect(await store.acquireLease("shard-0", "someone", 1_000)).not.toBeNull();
  });

  it("P4: a forgotten device is gone from the sums and the store, and may come back as new", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock);
    const other = keyOf("tv-2");
    const entries = [
      delta(TV, { seq: 1, upserts: [absolute("a", 1), absolute("b", 2)] }),
      delta(other, { seq: 1, upserts: [absolute("a", 3)] }),
    ];
    const job = writer.handle(entries);
    await clock.advance(100);
    await job;
    await writer.forget(TV);
    expect(await stored(store, [TV, other])).toMatchObject({
      mismatches: [],
      table: expected(entries.slice(1)),
    });
    expect(await store.cursors([TV])).toEqual([null]);
    expect((await store.registers(TV)).size).toBe(0);
    await writer.forget(TV);
    const again = writer.handle(entries.slice(0, 1));
    await clock.advance(100);
    await again;
    expect(await stored(store, [TV, other])).toMatchObject({
      mismatches: [],
      table: expected(entries),
    });
    await writer.stop();
  });

  it("tombstones of a device read in full are bounded in the store too", async () => {
    const { clock, store } = setUp();
    const writer = await openWriter(store, clock, {
      policy: { deviceTombstonesMax: 2 },
      cachedBytesMax: 0,
    });
    for (let seq = 1; seq <= 5; seq += 1) {
      const job = writer.handle([delta(TV, { seq, removals: [`p${seq}`] })]);
      await clock.advance(100);
      await job;
    }
    const registers = await store.registers(TV);
    expect([...registers.keys()].sort()).toEqual(["p4", "p5"]);
    for (const blob of registers.values()) expect(decodeRegister(blob).kind).toBe("tombstone");
    await writer.stop();
  });

  it("counts what it did, with reasons as labels", async () => {
    const { clock, store } = setUp();
    const metrics = createMetrics();
    const writer = await openWriter(store, clock, { metrics });
    const entry = delta(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const job = writer.handle([entry, entry, queued(TV, Uint8Array.of(7, 7, 7))]);
    await clock.advance(100);
    await job;
    const text = await metrics.render();
    expect(text).toContain("omega_aggregate_applied_total 1");
    expect(text).toContain("omega_aggregate_duplicates_total 1");
    expect(text).toContain('omega_aggregate_dead_letters_total{reason="frame.magic"} 1');
    expect(text).toContain("omega_aggregate_commits_total 1");
    await writer.stop();
  });
});
