import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { integerBelow, seededRandom, systemRandom } from "../../src/core/index.ts";

describe("randomness", () => {
  it("a seed repeats itself, on any machine", () => {
    const random = seededRandom(42);
    const drawn = [random.next(), random.next(), random.next()];
    expect(drawn.map((value) => Math.floor(value * 2 ** 32))).toEqual([
      2581720956, 1925393290, 3661312704,
    ]);
  });

  it("every value is in [0, 1), every integer below its limit", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 24 }), (seed, limit) => {
        const random = seededRandom(seed);
        for (let round = 0; round < 20; round += 1) {
          const value = random.next();
          expect(value >= 0 && value < 1).toBe(true);
          const integer = integerBelow(random, limit);
          expect(Number.isInteger(integer) && integer >= 0 && integer < limit).toBe(true);
        }
      }),
    );
    expect(integerBelow(systemRandom, 1)).toBe(0);
  });
});
