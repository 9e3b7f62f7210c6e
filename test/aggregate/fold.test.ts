import { describe, expect, it } from "vitest";
import type { LiveRegister } from "../../src/aggregate/register.ts";
import { limits } from "../../src/core/index.ts";
import { fromSpace, type Upsert } from "../../src/wire/index.ts";
import {
  absolute,
  deltaFrame,
  FoldBench,
  foldable,
  kept,
  keyOf,
  modelOf,
  NOW_MS,
  POLICY,
  queued,
  vectorOf,
} from "./frames.ts";

const TV = keyOf("tv-1");
const BUCKET = Math.floor(NOW_MS / POLICY.bucketMs);

function row(bench: FoldBench, pattern: string, bucket = BUCKET) {
  return bench.sums.tenants.get(TV.tenant)?.get(pattern)?.get(bucket) ?? null;
}

describe("fold", () => {
  it("a newer value replaces the older one instead of counting twice", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 1, upserts: [absolute("a", 1, { weight: 10 })] });
    bench.send(TV, { seq: 2, upserts: [absolute("a", 2, { weight: 7 })] });
    expect(row(bench, "a")).toMatchObject({ devices: 1, weight: 7, samples: 12, success: 5_600 });
    expect(bench.device(TV).cursor).toMatchObject({ patterns: 1 });
  });

  it("THREATS 21: a weight above the tenant's bound is refused, of other tenants it is not", () => {
    const weightMaxOf = (tenant: string) => (tenant === TV.tenant ? 300 : limits.WEIGHT_MAX);
    const bench = new FoldBench({ ...POLICY, weightMaxOf });
    const loud = { seq: 1, upserts: [absolute("a", 1, { weight: 301 })] };
    bench.send(TV, loud);
    expect(row(bench, "a")).toBeNull();
    const detail = "a: weights 301, not 1…300";
    const problems = [{ reason: "delta.weights", detail }];
    expect(bench.device(TV).cursor?.problems).toMatchObject(problems);
    bench.send(TV, { seq: 2, upserts: [absolute("a", 1, { weight: 300 })] });
    expect(row(bench, "a")?.weight).toBe(300);
    const other = { tenant: "other", device: TV.device };
    bench.send(other, loud);
    expect(bench.sums.tenants.get("other")?.get("a")?.get(BUCKET)?.weight).toBe(301);
  });

  it("a late older delta still counts for the patterns that no newer one touched", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 2, upserts: [absolute("b", 2, { weight: 2 })] });
    bench.send(TV, {
      seq: 1,
      upserts: [absolute("a", 1, { weight: 1 }), absolute("b", 3, { weight: 9 })],
    });
    expect(row(bench, "a")?.weight).toBe(1);
    expect(row(bench, "b")?.weight).toBe(2);
  });

  it("a removal is not undone by an older delta that arrives after it", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 1, upserts: [absolute("a", 1)] });
    bench.send(TV, { seq: 3, removals: ["a", "never-there"] });
    bench.send(TV, { seq: 2, upserts: [absolute("a", 2), absolute("never-there", 3)] });
    expect(bench.sums.tenants.size).toBe(0);
    expect(bench.device(TV).registers.get("a")).toMatchObject({ kind: "tombstone", seq: 3 });
    expect(bench.device(TV).cursor?.patterns).toBe(0);
  });

  it("new numbers for a kept vector move its contribution to the present bucket", () => {
    const bench = new FoldBench();
    const day = POLICY.bucketMs;
    bench.send(TV, { seq: 1, upserts: [absolute("a", 1)] }, NOW_MS);
    bench.send(TV, { seq: 2, upserts: [kept("a", 1, 33)] }, NOW_MS + day);
    expect(row(bench, "a")).toBeNull();
    expect(row(bench, "a", BUCKET + 1)).toMatchObject({ weight: 33, devices: 1 });
    const first = bench.device(TV).registers.get("a") as LiveRegister;
    expect(first).toMatchObject({ kind: "live", seq: 2, weight: 33 });
  });

  it("P6: a difference is added to exactly the register it names", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 1, upserts: [absolute("a", 1)] });
    const reference = (bench.device(TV).registers.get("a") as LiveRegister).vector;
    const embedding = {
      mode: "difference" as const,
      target: vectorOf(2),
      reference,
      referenceSeq: 1,
    };
    bench.send(TV, { seq: 2, upserts: [absolute("a", 1, { embedding })] });
    const { vector } = bench.device(TV).registers.get("a") as LiveRegister;
    const errorMax = Math.max(
      ...vector.map((value, at) => Math.abs(value - (embedding.target[at] ?? 0))),
    );
    expect(errorMax).toBeLessThanOrEqual(130);
  });

  it("a vector keeps the space it came in, and each space has its own part of the sums", () => {
    const bench = new FoldBench();
    const other = keyOf("tv-2");
    bench.send(TV, { seq: 1, model: 9, upserts: [absolute("a", 1)] });
    bench.send(other, { seq: 1, upserts: [absolute("a", 2)] });
    expect([...(row(bench, "a")?.parts.keys() ?? [])].sort()).toEqual([0, 9]);
    // A frame of another space that keeps the vector does not move it.
    bench.send(TV, { seq: 2, model: 4, upserts: [kept("a", 1), absolute("b", 1)] });
    expect(bench.device(TV).registers.get("a")).toMatchObject({ kind: "live", space: 9, seq: 2 });
    expect(bench.device(TV).registers.get("b")).toMatchObject({ kind: "live", space: 4, seq: 2 });
    bench.send(TV, { seq: 3, upserts: [absolute("a", 3)], removals: ["b"] });
    expect([...(row(bench, "a")?.parts.entries() ?? [])]).toMatchObject([[0, { devices: 2 }]]);
    expect(bench.sums.rowsBySpace).toEqual(new Map([["acme", new Map([[0, 1]])]]));
  });

  it("a vector that no longer counts is not kept in the space of a model that may be gone", () => {
    const later = NOW_MS + POLICY.bucketsKept * POLICY.bucketMs;
    const keptAt = (model: number | undefined, atMs: number) => {
      const bench = new FoldBench();
      const first = { seq: 1, upserts: [absolute("a", 1)] };
      bench.send(TV, model === undefined ? first : { ...first, model });
      return bench.send(TV, { seq: 2, upserts: [kept("a", 1)] }, atMs).outcomes[0];
    };
    expect(keptAt(9, later - POLICY.bucketMs)).toEqual({ kind: "applied" });
    expect(keptAt(9, later)).toEqual({ kind: "dead-lettered", reason: "reference.space" });
    expect(keptAt(undefined, later)).toEqual({ kind: "applied" });
    expect(keptAt(0, later)).toEqual({ kind: "applied" });
  });

  it("what is in the register is the pattern, turned into the model's space", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 1, model: 9, upserts: [absolute("a", 1)] });
    const { vector } = bench.device(TV).registers.get("a") as LiveRegister;
    const [turnedBack] = fromSpace(modelOf(9), [vector]);
    const apart = vectorOf(1).map((value, at) => value - Math.round(turnedBack?.[at] ?? 0));
    // A hundredth of the norm: what the quality asked for leaves.
    expect(Math.hypot(...apart)).toBeLessThan(0.02 * 16_384);
  });

  it("P6: a difference in another space than its register is refused, and costs only its delta", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 1, model: 1, upserts: [absolute("a", 1)] });
    const before = bench.device(TV).registers.get("a") as LiveRegister;
    const differenceIn = (space: number): Upsert => {
      const { vector: reference } = before;
      const difference = { mode: "difference", target: vectorOf(2), referenceSeq: 1 } as const;
      // What a device believes of the register's space that has mixed up its models.
      return absolute("a", 1, { embedding: { ...difference, reference, referenceSpace: space } });
    };
    for (const spec of [
      { seq: 2, upserts: [differenceIn(0)] },
      { seq: 3, model: 2, upserts: [differenceIn(2)] },
    ]) {
      const { outcomes } = bench.send(TV, spec);
      expect(outcomes).toEqual([{ kind: "dead-lettered", reason: "reference.space" }]);
    }
    expect(bench.device(TV).registers.get("a")).toBe(before);
    const honest = { seq: 4, model: 1, upserts: [differenceIn(1)] };
    expect(bench.send(TV, honest).outcomes).toEqual([{ kind: "applied" }]);
  });

  it("two deltas of one device in one batch meet in the draft, in either order", () => {
    const first = deltaFrame({ seq: 1, upserts: [absolute("a", 1)] });
    const second = deltaFrame({ seq: 2, upserts: [kept("a", 1, 77)] });
    for (const frames of [
      [first, second],
      [second, first],
    ]) {
      const bench = new FoldBench();
      const { outcomes } = bench.fold(frames.map((frame) => foldable(queued(TV, frame))));
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(["applied", "applied"]);
      expect(row(bench, "a")).toMatchObject({ weight: 77, devices: 1 });
    }
  });

  it("a long chain that arrives backwards is folded in one batch", () => {
    const bench = new FoldBench();
    const frames = [deltaFrame({ seq: 1, upserts: [absolute("a", 1)] })];
    for (let seq = 2; seq <= 200; seq += 1) {
      frames.push(deltaFrame({ seq, upserts: [kept("a", seq - 1, seq)] }));
    }
    const { outcomes } = bench.fold(frames.reverse().map((frame) => foldable(queued(TV, frame))));
    expect(outcomes.every((outcome) => outcome.kind === "applied")).toBe(true);
    expect(row(bench, "a")?.weight).toBe(200);
  });

  it("a delta waits for the one it refers to and changes nothing meanwhile", () => {
    const bench = new FoldBench();
    const { outcomes, commit } = bench.send(TV, { seq: 2, upserts: [kept("a", 1)] });
    expect(outcomes).toEqual([{ kind: "deferred", referenceSeq: 1 }]);
    expect(commit).toMatchObject({ sums: [], devices: [], deadLetters: [] });
  });

  it("P2: a delta ahead of the window waits until the gap before it closes", () => {
    const bench = new FoldBench();
    const early = foldable(queued(TV, deltaFrame({ seq: 257, upserts: [absolute("b", 2)] })));
    expect(bench.fold([early]).outcomes).toEqual([{ kind: "deferred", referenceSeq: 1 }]);
    const late = foldable(queued(TV, deltaFrame({ seq: 1, upserts: [absolute("a", 1)] })));
    const { outcomes, commit } = bench.fold([early, late]);
    expect(outcomes).toEqual([{ kind: "applied" }, { kind: "applied" }]);
    expect(commit.deadLetters).toEqual([]);
  });

  it("a delta ahead of the window is refused when the gap before it never closes", () => {
    const bench = new FoldBench();
    const early = foldable(queued(TV, deltaFrame({ seq: 257, upserts: [absolute("b", 2)] })), true);
    expect(bench.fold([early]).outcomes).toEqual([{ kind: "dead-lettered", reason: "seq.window" }]);
  });

  it("when the wait is over the delta is refused, and what waits for it in turn follows", () => {
    const bench = new FoldBench();
    const entries = [
      foldable(queued(TV, deltaFrame({ seq: 3, upserts: [kept("a", 2)] }))),
      foldable(queued(TV, deltaFrame({ seq: 2, upserts: [kept("a", 1)] })), true),
    ];
    const { outcomes, commit } = bench.fold(entries);
    expect(outcomes).toEqual([
      { kind: "dead-lettered", reason: "reference.missing" },
      { kind: "dead-lettered", reason: "reference.missing" },
    ]);
    expect(commit.stats).toEqual({ applied: 0, duplicates: 0, deadLettered: 2 });
    // The positions are consumed: the device is told, and a resend is a duplicate.
    expect(bench.device(TV).cursor?.problems.map((problem) => problem.position?.seq)).toEqual([
      2, 3,
    ]);
    expect(bench.fold(entries).outcomes.map((outcome) => outcome.kind)).toEqual([
      "duplicate",
      "duplicate",
    ]);
  });

  it("P2: one poisoned frame among a hundred costs only itself", () => {
    const bench = new FoldBench();
    const entries = Array.from({ length: 100 }, (_, index) => {
      const key = keyOf(`tv-${index}`);
      const frame = deltaFrame({ seq: 1, upserts: [absolute("a", index + 1)] });
      return foldable(queued(key, index === 42 ? frame.slice(0, frame.length - 3) : frame));
    });
    const { commit, outcomes } = bench.fold(entries);
    expect(commit.stats).toEqual({ applied: 99, duplicates: 0, deadLettered: 1 });
    expect(outcomes[42]?.kind).toBe("dead-lettered");
    expect(row(bench, "a")?.devices).toBe(99);
  });

  it("the base is that of the newest delta, whatever arrives later", () => {
    const bench = new FoldBench();
    bench.send(TV, { seq: 2, base: 9, upserts: [absolute("a", 1)] });
    bench.send(TV, { seq: 1, base: 4, upserts: [absolute("b", 1)] });
    expect(bench.device(TV).cursor?.base).toBe(9);
    bench.send(TV, { epoch: 2, seq: 1, base: 0, upserts: [absolute("a", 1)] });
    expect(bench.device(TV).cursor?.base).toBe(0);
  });

  it("an older incarnation's late delta loses to the newer one's registers", () => {
    const bench = new FoldBench();
    bench.send(TV, { epoch: 8, seq: 1, upserts: [absolute("a", 1, { weight: 8 })] });
    bench.send(TV, {
      epoch: 7,
      seq: 5,
      upserts: [absolute("a", 2, { weight: 7 }), absolute("b", 3, { weight: 7 })],
    });
    expect(row(bench, "a")?.weight).toBe(8);
    expect(row(bench, "b")?.weight).toBe(7);
  });

  it("P8: tombstones are bounded by count and by age", () => {
    const bench = new FoldBench({ deviceTombstonesMax: 3 });
    for (let seq = 1; seq <= 6; seq += 1) bench.send(TV, { seq, removals: [`p${seq}`] });
    const kindOf = (id: string) => bench.device(TV).registers.get(id)?.kind ?? null;
    expect(["p1", "p2", "p3", "p4", "p5", "p6"].map(kindOf)).toEqual([
      null,
      null,
      null,
      "tombstone",
      "tombstone",
      "tombstone",
    ]);
    const later = NOW_MS + POLICY.bucketsKept * POLICY.bucketMs;
    const { commit } = bench.send(TV, { seq: 7, removals: ["p7"] }, later);
    expect(
      [...(commit.devices[0]?.registers ?? [])].map(([id, blob]) => [id, blob === null]),
    ).toEqual(
      expect.arrayContaining([
        ["p4", true],
        ["p7", false],
      ]),
    );
  });

  it("a replay of the same entries makes the same dead letter id", () => {
    const garbage = foldable(queued(TV, Uint8Array.of(1, 2, 3)));
    const first = new FoldBench().fold([garbage]).commit.deadLetters[0];
    const again = new FoldBench().fold([garbage]).commit.deadLetters[0];
    expect(first?.id).toBe(again?.id);
    expect(first?.id).toMatch(/^[\x21-\x7e]{1,128}$/);
    const longest = keyOf("d".repeat(64), "t".repeat(64));
    const far = deltaFrame({ epoch: 2 ** 48 - 1, seq: 2 ** 48 - 1, upserts: [absolute("a", 1)] });
    const buried = new FoldBench().fold([foldable(queued(longest, far))]).commit.deadLetters[0];
    expect(buried?.id).toMatch(/^[\x21-\x7e]{1,128}$/);
  });
});
