import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldForget } from "../../src/aggregate/fold-forget.ts";
import type { FoldEntry } from "../../src/aggregate/fold-state.ts";
import { applyChanges, draftOf } from "../../src/aggregate/merge.ts";
import type { Register } from "../../src/aggregate/register.ts";
import { deviceName, seededRandom, shardOf } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import { absolute, FoldBench, foldable, NOW_MS, POLICY } from "./frames.ts";
import { histories } from "./histories.ts";
import { printed, referenceFold, tableOf } from "./reference.ts";

/** Folds in batches of `batch`, feeding what was deferred back in, until nothing is left. */
function deliver(bench: FoldBench, entries: readonly QueueEntry[], batch: number): FoldEntry[] {
  const applied: FoldEntry[] = [];
  let waiting: FoldEntry[] = [];
  for (let at = 0; at < entries.length || waiting.length > 0; at += batch) {
    const given = [...waiting, ...entries.slice(at, at + batch).map((entry) => foldable(entry))];
    const { outcomes } = bench.fold(given);
    waiting = [];
    for (const [index, outcome] of outcomes.entries()) {
      const entry = given[index] as FoldEntry;
      if (outcome.kind === "applied") applied.push(entry);
      if (outcome.kind === "deferred") waiting.push(entry);
      if (outcome.kind === "dead-lettered") throw new Error(`refused: ${outcome.reason}`);
    }
    if (at >= entries.length && waiting.length === given.length) throw new Error("stuck");
  }
  return applied;
}

function spread(entries: readonly QueueEntry[], shards: number): QueueEntry[][] {
  const parts: QueueEntry[][] = Array.from({ length: shards }, () => []);
  for (const entry of entries) parts[shardOf(entry.key, shards)]?.push(entry);
  return parts;
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = seededRandom(seed);
  return items
    .map((item) => ({ item, rank: random.next() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** The same devices on `shards` new benches: registers moved, sums made of them. */
function reshard(benches: readonly FoldBench[], shards: number): FoldBench[] {
  const next = Array.from({ length: shards }, () => new FoldBench());
  for (const bench of benches) {
    for (const [name, device] of bench.devices) {
      const [tenant = "", id = ""] = name.split("/");
      const home = next[shardOf({ tenant, device: id }, shards)] as FoldBench;
      home.devices.set(name, device);
      const draft = draftOf(home.sums);
      for (const [pattern, register] of device.registers) {
        draft.replace(tenant, pattern, null, register);
      }
      applyChanges(home.sums, draft.changes());
    }
  }
  return next;
}

const SEED = fc.integer({ min: 1, max: 1_000_000 });

describe("fold", () => {
  it("P4: any order, any sharding, any batches, with duplicates: bit for bit the reference", () => {
    fc.assert(
      fc.property(
        histories(5, 12),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 40 }),
        SEED,
        (sent, shards, batch, seed) => {
          const arriving = shuffled([...sent, ...shuffled(sent, seed + 1).slice(0, 10)], seed);
          const benches = spread(arriving, shards).map((part) => {
            const bench = new FoldBench();
            deliver(bench, part, batch);
            return bench;
          });
          const expected = referenceFold(
            sent.map((entry) => foldable(entry)),
            POLICY,
          );
          expect(printed(tableOf(benches.map((bench) => bench.sums)))).toEqual(printed(expected));
        },
      ),
      { numRuns: 80 },
    );
  });

  it("P4: resharding in the middle changes nothing", () => {
    fc.assert(
      fc.property(
        histories(6, 8),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        SEED,
        (sent, before, after, seed) => {
          const middle = Math.floor(sent.length / 2);
          const first = spread(sent.slice(0, middle), before).map((part) => {
            const bench = new FoldBench();
            deliver(bench, part, 7);
            return bench;
          });
          const second = reshard(first, after);
          const late = shuffled(sent.slice(middle), seed);
          for (const [shard, part] of spread(late, after).entries()) {
            deliver(second[shard] as FoldBench, part, 7);
          }
          const expected = referenceFold(
            sent.map((entry) => foldable(entry)),
            POLICY,
          );
          expect(printed(tableOf(second.map((bench) => bench.sums)))).toEqual(printed(expected));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("P4: a forgotten device leaves the sums as if it had never been", () => {
    fc.assert(
      fc.property(histories(5, 8), SEED, (sent, seed) => {
        const bench = new FoldBench();
        deliver(bench, shuffled(sent, seed), 9);
        const [gone] = sent;
        if (gone === undefined) return;
        const { cursor, registers } = bench.device(gone.key);
        if (cursor === null) throw new Error("it sent something");
        const existing = new Map<string, Register>();
        for (const [id, register] of registers) if (register !== null) existing.set(id, register);
        const device = { cursor, registers: existing };
        const { commit, changes } = foldForget(bench.sums, gone.key, device, 0);
        applyChanges(bench.sums, changes.sums);
        const others = sent.filter(({ key }) => deviceName(key) !== deviceName(gone.key));
        const expected = referenceFold(
          others.map((entry) => foldable(entry)),
          POLICY,
        );
        expect(printed(tableOf([bench.sums]))).toEqual(printed(expected));
        expect([...(commit.devices[0]?.registers.values() ?? [])]).toEqual(
          [...existing].map(() => null),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("P2: each delta is applied once, however often and in whatever batches it comes", () => {
    fc.assert(
      fc.property(histories(4, 8), fc.integer({ min: 1, max: 30 }), SEED, (sent, batch, seed) => {
        const bench = new FoldBench();
        const arriving = shuffled([...sent, ...sent, ...sent], seed);
        const applied = deliver(bench, arriving, batch).map(
          ({ key, read }) => `${deviceName(key)} ${read.position?.epoch}.${read.position?.seq}`,
        );
        expect(new Set(applied).size).toBe(applied.length);
        expect(applied.length).toBe(sent.length);
      }),
      { numRuns: 60 },
    );
  });

  it("P4: contributions of dropped buckets go as a whole, and taking them back later is harmless", () => {
    const day = POLICY.bucketMs;
    const bench = new FoldBench({ bucketsKept: 5 });
    const key = { tenant: "acme", device: "tv-0" };
    const other = { tenant: "acme", device: "tv-1" };
    const absoluteAt = (seq: number, id: string) => ({
      seq,
      upserts: [absolute(id, seq)],
    });
    bench.send(key, absoluteAt(1, "old"), NOW_MS);
    bench.send(other, absoluteAt(1, "old"), NOW_MS + 6 * day);
    // Six buckets on, the first row is one bucket too old; seven on, it is dropped.
    expect(bench.sums.rowsByBucket.size).toBe(2);
    bench.send(other, absoluteAt(2, "new"), NOW_MS + 7 * day);
    bench.send(other, absoluteAt(3, "new"), NOW_MS + 7 * day);
    expect([...bench.sums.rowsByBucket.keys()]).not.toContain(Math.floor(NOW_MS / day));
    const before = printed(tableOf([bench.sums]));
    bench.send(key, { seq: 2, removals: ["old"] }, NOW_MS + 7 * day);
    expect(printed(tableOf([bench.sums]))).toEqual(before);
  });
});
