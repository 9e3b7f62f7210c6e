import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BackoffPolicy,
  backoffDelayMs,
  DEFAULT_BACKOFF,
  seededRandom,
} from "../../src/core/index.ts";

const anyPolicy: fc.Arbitrary<BackoffPolicy> = fc
  .tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 0, max: 3_600_000 }))
  .map(([delayMsBase, more]) => ({ delayMsBase, delayMsMax: delayMsBase + more }));

/** Random that always says the same. */
const constant = (value: number) => ({ next: () => value });
const ALMOST_ONE = 1 - 2 ** -32;

describe("backoff", () => {
  it("stays within 0 and both its ceilings, at any attempt", () => {
    fc.assert(
      fc.property(anyPolicy, fc.nat(10_000), fc.integer(), (policy, attempt, seed) => {
        const delayMs = backoffDelayMs(policy, attempt, seededRandom(seed));
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThan(policy.delayMsMax);
        expect(delayMs).toBeLessThan(policy.delayMsBase * 2 ** Math.min(attempt, 40));
      }),
    );
  });

  it("doubles its ceiling until the maximum", () => {
    const ceilings = Array.from({ length: 12 }, (_, attempt) =>
      Math.ceil(backoffDelayMs(DEFAULT_BACKOFF, attempt, constant(ALMOST_ONE)) / 1000),
    );
    expect(ceilings).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
  });

  it("is full jitter: devices that failed together spread over the whole window", () => {
    expect(backoffDelayMs(DEFAULT_BACKOFF, 20, constant(0))).toBe(0);
    const random = seededRandom(1);
    const tenths = new Array<number>(10).fill(0);
    for (let device = 0; device < 10_000; device += 1) {
      const tenth = Math.floor(backoffDelayMs(DEFAULT_BACKOFF, 20, random) / 30_000);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
