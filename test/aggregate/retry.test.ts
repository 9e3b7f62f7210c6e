import { describe, expect, it } from "vitest";
import type { FoldPolicy } from "../../src/aggregate/fold-policy.ts";
import type { Folded } from "../../src/aggregate/fold-state.ts";
import {
  absolute,
  type DeltaSpec,
  deltaFrame,
  FoldBench,
  foldable,
  keyOf,
  queued,
} from "./frames.ts";

const TV = keyOf("tv-1");
const TWO: DeltaSpec = { seq: 1, upserts: [absolute("a", 1), absolute("b", 2)] };

/** A device whose first delta was refused, then folded by aggregators with another policy. */
function refusedOnce(policy: Partial<FoldPolicy> = {}) {
  const strict = new FoldBench({ devicePatternsMax: 1 });
  const refused = strict.send(TV, TWO);
  const later = new FoldBench(policy);
  later.devices.set("acme/tv-1", strict.device(TV));
  return { refused, later };
}

function retry(bench: FoldBench, spec: DeltaSpec): Folded {
  return bench.fold([foldable({ ...queued(TV, deltaFrame(spec)), retried: true })]);
}

describe("P2 P6: a dead letter's second chance", () => {
  it("is applied although its position was consumed, and its device is not told of the refusal", () => {
    const { refused, later } = refusedOnce();
    expect(refused.commit.stats).toEqual({ applied: 0, duplicates: 0, deadLettered: 1 });
    expect(later.device(TV).cursor?.problems).toHaveLength(1);
    const { outcomes, commit } = retry(later, TWO);
    expect(outcomes).toEqual([{ kind: "retried" }]);
    // It was counted when it was refused: consumed stays applied + dead-lettered.
    expect(commit.stats).toEqual({ applied: 0, duplicates: 0, deadLettered: 0 });
    expect([...later.device(TV).registers.keys()].sort()).toEqual(["a", "b"]);
    expect(later.device(TV).cursor?.problems).toEqual([]);
    expect(later.device(TV).cursor?.epochs).toEqual(refused.commit.devices[0]?.cursor.epochs);
  });

  it("changes nothing the second time", () => {
    const { later } = refusedOnce();
    retry(later, TWO);
    const before = later.device(TV).registers;
    const again = retry(later, TWO);
    expect(again.changes.sums).toEqual([]);
    expect(later.device(TV).registers).toEqual(before);
  });

  it("ends in the sums that a delta accepted at once would have left", () => {
    const { later } = refusedOnce();
    retry(later, TWO);
    const direct = new FoldBench();
    direct.send(TV, TWO);
    expect(later.sums).toEqual(direct.sums);
  });

  it("is not taken any more when the device has said something newer", () => {
    const { later } = refusedOnce();
    later.send(TV, { seq: 2, upserts: [absolute("a", 3)] });
    const { outcomes, commit } = retry(later, TWO);
    expect(outcomes).toEqual([{ kind: "duplicate" }]);
    expect(commit.deadLetters).toEqual([]);
    expect([...later.device(TV).registers.keys()]).toEqual(["a"]);
  });

  it("is the same letter again when it is refused again, and counted once", () => {
    const { refused, later } = refusedOnce({ devicePatternsMax: 1 });
    const { outcomes, commit } = retry(later, TWO);
    expect(outcomes).toEqual([{ kind: "dead-lettered", reason: "device.patterns" }]);
    expect(commit.deadLetters.map(({ id }) => id)).toEqual(
      refused.commit.deadLetters.map(({ id }) => id),
    );
    expect(commit.stats.deadLettered).toBe(0);
  });

  it("of a frame that still cannot be read leaves others alone", () => {
    const bench = new FoldBench();
    const garbage = { ...queued(TV, Uint8Array.of(1, 2, 3)), retried: true as const };
    const { outcomes } = bench.fold([
      foldable(garbage),
      foldable(queued(keyOf("tv-2"), deltaFrame({ seq: 1, upserts: [absolute("a", 1)] }))),
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["dead-lettered", "applied"]);
  });

  it("of one that was never consumed is an ordinary delta", () => {
    const bench = new FoldBench();
    expect(retry(bench, TWO).outcomes).toEqual([{ kind: "applied" }]);
  });
});
