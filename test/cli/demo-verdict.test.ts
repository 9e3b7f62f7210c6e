import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DemoFacts, judge, lostOf } from "../../src/cli/demo/verdict.ts";
import { newScoreboard } from "../../src/fleet/scoreboard.ts";
import { CURSOR_AHEAD_BYTES, type DeviceCursor, type EpochCursor } from "../../src/store/port.ts";

/** A cursor of one device that consumed `1 … low` and `ahead`, in each epoch. */
function cursorOf(...epochs: { epoch: number; low: number; ahead?: number[] }[]): DeviceCursor {
  return {
    epochs: epochs.map(({ epoch, low, ahead = [] }): EpochCursor => {
      const bits = new Uint8Array(CURSOR_AHEAD_BYTES);
      for (const seq of ahead) {
        const bit = seq - low - 1;
        bits[Math.floor(bit / 8)] = (bits[Math.floor(bit / 8)] ?? 0) | (2 ** (bit % 8));
      }
      return { epoch, low, ahead: bits };
    }),
    ...{ base: 0, patterns: 0, problems: [] },
  };
}

const lost = (acked: readonly string[], cursor: DeviceCursor | null) =>
  lostOf(new Set(acked), cursor);

describe("demo: what is lost", () => {
  it("demo: nothing acknowledged is nothing lost, whatever the store holds", () => {
    expect(lost([], null)).toBe(0);
    expect(lost([], cursorOf({ epoch: 7, low: 3 }))).toBe(0);
  });

  it("demo: everything acknowledged is lost when the store does not know the device", () => {
    expect(lost(["7/1", "7/2", "8/1"], null)).toBe(3);
  });

  it("demo: up to the low mark nothing is lost, beyond it everything that has no bit", () => {
    const cursor = cursorOf({ epoch: 7, low: 2, ahead: [4, 258] });
    expect(lost(["7/1", "7/2"], cursor)).toBe(0);
    expect(lost(["7/4", "7/258"], cursor)).toBe(0);
    expect(lost(["7/3", "7/5", "7/257"], cursor)).toBe(3);
  });

  it("demo: beyond the window everything is lost, however far", () => {
    const cursor = cursorOf({ epoch: 7, low: 0, ahead: [1, 2, 3, 4, 5, 6, 7, 8] });
    const far = [257, 2 ** 31 + 1, 2 ** 32 + 1, 2 ** 32 + 8, 2 ** 40 + 1];
    expect(
      lost(
        far.map((seq) => `7/${seq}`),
        cursor,
      ),
    ).toBe(far.length);
  });

  it("demo: an epoch that the store does not know is lost, and no other epoch's marks count for it", () => {
    const cursor = cursorOf({ epoch: 7, low: 9 }, { epoch: 2 ** 40, low: 1 });
    expect(lost(["8/1"], cursor)).toBe(1);
    expect(lost(["7/9", `${2 ** 40}/1`], cursor)).toBe(0);
    expect(lost([`${2 ** 40}/9`, "7/10"], cursor)).toBe(2);
  });

  it("demo: what is lost is what was acknowledged and never consumed, for every cursor", () => {
    const arbitrary = fc.record({
      low: fc.integer({ min: 0, max: 50 }),
      offsets: fc.uniqueArray(fc.integer({ min: 1, max: 256 }), { maxLength: 40 }),
      acked: fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 80 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ low, offsets, acked }) => {
        const ahead = offsets.map((offset) => low + offset);
        const cursor = cursorOf({ epoch: 3, low, ahead });
        const expected = acked.filter((seq) => seq > low && !ahead.includes(seq));
        const names = acked.map((seq) => `3/${seq}`);
        expect(lost(names, cursor)).toBe(expected.length);
      }),
    );
  });
});

/** A run without a fault, and then whatever `changes` say. */
function factsOf(changes: Partial<DemoFacts> & { readonly acked?: number } = {}): DemoFacts {
  const { acked = 40, ...facts } = changes;
  const scoreboard = newScoreboard();
  scoreboard.acked = acked;
  for (const bytes of [100, 200, 300]) scoreboard.pushBytes.add(bytes);
  for (const bytes of [1_000, 5_000]) scoreboard.pullBytes.add(bytes);
  for (const ms of [1.4, 2.6, 9.5]) scoreboard.ackMs.add(ms);
  return {
    ...{ devices: 10, scoreboard, lost: 0, version: 4, converged: 10 },
    ...{ stats: { applied: 40, duplicates: 3, deadLettered: 0 }, gatewayKills: 1, mismatches: 0 },
    ...facts,
  };
}

const statsOf = (applied: number, deadLettered = 0) => ({ applied, duplicates: 0, deadLettered });

describe("demo: the verdict", () => {
  it("demo: ok when every condition holds, with everything that was counted", () => {
    expect(judge(factsOf())).toEqual({
      ...{ devices: 10, acked: 40, applied: 40, duplicates: 3, deadLettered: 0, lost: 0 },
      ...{ version: 4, converged: 10, gatewayKills: 1, mismatches: 0 },
      pushBytes: { p50: 200, p95: 300, max: 300 },
      pullBytes: { p50: 1_000, p95: 5_000, max: 5_000 },
      ackMs: { p50: 3, p99: 10 },
      verdict: "ok",
    });
  });

  it("demo: duplicates are what resending costs, not a fault", () => {
    const stats = { applied: 40, duplicates: 1_000, deadLettered: 0 };
    expect(judge(factsOf({ stats })).verdict).toBe("ok");
  });

  it.each<[string, Parameters<typeof factsOf>[0]]>([
    ["nothing was acknowledged", { acked: 0, stats: statsOf(0) }],
    ["1 acknowledged deltas are lost", { lost: 1 }],
    ["40 deltas were acknowledged and 39 applied", { stats: statsOf(39) }],
    ["40 deltas were acknowledged and 41 applied", { stats: statsOf(41) }],
    ["2 deltas were dead-lettered", { stats: statsOf(40, 2) }],
    ["no version was released", { version: 0 }],
    ["9 of 10 devices hold version 4", { converged: 9 }],
    ["3 sums differ from their registers", { mismatches: 3 }],
  ])("demo: a single fault is the verdict, by its name: %s", (fault, changes) => {
    expect(judge(factsOf(changes)).verdict).toBe(fault);
  });

  it("demo: every fault is named, not only the first", () => {
    const changes = { lost: 2, stats: statsOf(38, 1), version: 0, converged: 0, mismatches: 1 };
    expect(judge(factsOf(changes)).verdict.split("; ")).toEqual([
      "2 acknowledged deltas are lost",
      "40 deltas were acknowledged and 38 applied",
      "1 deltas were dead-lettered",
      "no version was released",
      "0 of 10 devices hold version 0",
      "1 sums differ from their registers",
    ]);
  });
});
