import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newScoreboard, Samples } from "../../src/fleet/scoreboard.ts";

const samplesOf = (values: readonly number[]) => {
  const samples = new Samples();
  for (const value of values) samples.add(value);
  return samples;
};

/** Nearest rank by definition: the least sample that at least `percent` % of all do not exceed. */
function byDefinition(values: readonly number[], percent: number): number {
  const reaching = values.filter((candidate) => {
    const below = values.filter((value) => value <= candidate).length;
    return 100 * below >= percent * values.length;
  });
  return Math.min(...reaching);
}

describe("scoreboard", () => {
  it("scoreboard: percentiles are the nearest ranks of every sample, in any order", () => {
    const arbitrary = fc.array(fc.integer({ min: -1_000, max: 1_000 }), {
      minLength: 1,
      maxLength: 220,
      size: "max",
    });
    fc.assert(
      fc.property(arbitrary, (values) => {
        const samples = samplesOf(values);
        expect(samples.percentiles()).toEqual({
          p50: byDefinition(values, 50),
          p95: byDefinition(values, 95),
          p99: byDefinition(values, 99),
          max: Math.max(...values),
        });
        expect(samples.count).toBe(values.length);
        expect(samples.total).toBe(values.reduce((sum, value) => sum + value, 0));
      }),
    );
  });

  it("scoreboard: a rank that falls on a sample is that sample, for every count up to 2,000", () => {
    const samples = new Samples();
    for (let count = 1; count <= 2_000; count += 1) {
      samples.add(count);
      const rank = (percent: number) => Math.floor((percent * count + 99) / 100);
      const expected = { p50: rank(50), p95: rank(95), p99: rank(99), max: count };
      expect(samples.percentiles()).toEqual(expected);
    }
  });

  it("scoreboard: numbers are ordered as numbers, not as text", () => {
    expect(samplesOf([9, 10, 100]).percentiles()).toMatchObject({ p50: 10, max: 100 });
  });

  it("scoreboard: without a sample everything is 0", () => {
    const board = newScoreboard();
    expect(board).toMatchObject({ acked: 0, rawBytes: 0, refused: 0 });
    for (const samples of [board.pushBytes, board.pullBytes, board.ackMs]) {
      expect(samples.percentiles()).toEqual({ p50: 0, p95: 0, p99: 0, max: 0 });
      expect([samples.count, samples.total]).toEqual([0, 0]);
    }
  });
});
