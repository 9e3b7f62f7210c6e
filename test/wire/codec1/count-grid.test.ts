import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  COUNT_LEVEL_MAX,
  countAt,
  levelOf,
  roundCount,
} from "../../../src/wire/codec1/count-grid.ts";

const COUNT_MAX = 2 ** 48 - 1;

describe("the count grid", () => {
  it("has 368 levels, each the value of the one before and a bit more", () => {
    expect(COUNT_LEVEL_MAX).toBe(367);
    for (let level = 0; level <= COUNT_LEVEL_MAX; level += 1) {
      expect(levelOf(countAt(level))).toBe(level);
      expect(roundCount(countAt(level))).toBe(countAt(level));
      if (level > 0) expect(countAt(level)).toBeGreaterThan(countAt(level - 1));
    }
    expect(countAt(COUNT_LEVEL_MAX)).toBe(15 * 2 ** 44);
  });

  it("keeps small counts, then four significant binary digits", () => {
    const cases = [
      [0, 0],
      [1, 1],
      [15, 15],
      [16, 16],
      [17, 18],
      [19, 20],
      [31, 32],
      [100, 104],
      [1_000, 1_024],
      [999_999, 983_040],
      [COUNT_MAX, 15 * 2 ** 44],
    ] as const;
    for (const [count, rounded] of cases) expect(roundCount(count)).toBe(rounded);
  });

  it("rounds to the nearest, within a seventeenth of the count", () => {
    const anyCount = fc.oneof(fc.nat(10_000), fc.integer({ min: 0, max: 15.5 * 2 ** 44 }));
    fc.assert(
      fc.property(anyCount, (count) => {
        const rounded = roundCount(count);
        expect(Math.abs(rounded - count)).toBeLessThanOrEqual(count / 17);
        const level = levelOf(rounded);
        for (const other of [level - 1, level + 1]) {
          if (other < 0 || other > COUNT_LEVEL_MAX) continue;
          expect(Math.abs(rounded - count)).toBeLessThanOrEqual(Math.abs(countAt(other) - count));
        }
      }),
    );
  });

  it("rounds fractions too, since weights age", () => {
    expect(roundCount(0.4)).toBe(0);
    expect(roundCount(15.5)).toBe(16);
    expect(roundCount(16.99)).toBe(16);
    expect(roundCount(17.01)).toBe(18);
  });
});
