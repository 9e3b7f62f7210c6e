import fc from "fast-check";
import { expect, it } from "vitest";
import { CommitBudget } from "../../src/aggregate/commit-budget.ts";
import type { Folded } from "../../src/aggregate/fold-state.ts";
import { absolute, deltaFrame, FoldBench, foldable, keyOf, POLICY, queued } from "./frames.ts";
import { histories } from "./histories.ts";

function bytesOf({ commit }: Folded): number {
  let bytes = 0;
  for (const { blob } of commit.sums) bytes += blob?.length ?? 0;
  for (const { registers } of commit.devices) {
    for (const blob of registers.values()) bytes += blob?.length ?? 0;
  }
  return bytes;
}

it("commit budget: no commit is larger than was estimated, in whatever spaces it is", () => {
  fc.assert(
    fc.property(histories(6, 8), fc.integer({ min: 1, max: 20 }), (sent, batch) => {
      const bench = new FoldBench();
      for (let at = 0; at < sent.length; at += batch) {
        const entries = sent.slice(at, at + batch).map((entry) => foldable(entry));
        const budget = new CommitBudget(POLICY, batch, bench.sums);
        for (const entry of entries) expect(budget.take(entry)).toBe(true);
        expect(bytesOf(bench.fold(entries))).toBeLessThanOrEqual(budget.bytes);
      }
    }),
    { numRuns: 60 },
  );
});

it("commit budget: a batch ends before it would be too large, but never before its first entry", () => {
  const wide = { ...POLICY, dimOf: () => 4_096 };
  const { sums } = new FoldBench();
  for (let space = 0; space < 400; space += 1) {
    sums.rowsBySpace.set("acme", (sums.rowsBySpace.get("acme") ?? new Map()).set(space, 1));
  }
  const upserts = Array.from({ length: 5 }, (_, index) => absolute(`p${index}`, index + 1));
  const entryOf = (device: string) => {
    return foldable(queued(keyOf(device), deltaFrame({ seq: 1, upserts })));
  };
  const budget = new CommitBudget(wide, 100, sums);
  expect(budget.take(entryOf("tv-1"))).toBe(true);
  expect(budget.take(entryOf("tv-2"))).toBe(false);
});
