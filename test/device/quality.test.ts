import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterAck,
  afterBytes,
  afterTrouble,
  budgetOf,
  DAY_MS,
  type LinkQuality,
  restMs,
  rungOf,
  unknownQuality,
} from "../../device/quality.ts";

const OPTIONS = { budgetBytes: 1_024, dailyBytesMax: null };
const CAPPED = { budgetBytes: 1_024, dailyBytesMax: 100_000 };
const fresh = unknownQuality(0);

const acked = (quality: LinkQuality, ms: number, count: number) => {
  let after = quality;
  for (let index = 0; index < count; index += 1) after = afterAck(after, ms);
  return after;
};

describe("the quality ladder", () => {
  test("a link of which nothing is known gets the whole budget", () => {
    expect(budgetOf(fresh, OPTIONS, 0)).toBe(1_024);
    expect(budgetOf(fresh, CAPPED, 0)).toBe(1_024);
  });

  test("slow PUBACKs take one rung, then two, and quick ones give them back one by one", () => {
    const budgets = [];
    let quality = acked(fresh, 200, 20);
    for (const ms of [200, 2_000, 9_000, 2_000, 500, 500]) {
      quality = acked(quality, ms, 60);
      budgets.push(budgetOf(quality, OPTIONS, 0));
    }
    expect(budgets).toEqual([1_024, 768, 512, 768, 1_024, 1_024]);
  });

  test("one late PUBACK among quick ones changes nothing", () => {
    const quality = afterAck(acked(fresh, 100, 20), 9_000);
    expect(budgetOf(quality, OPTIONS, 0)).toBe(1_024);
  });

  test("a round trip near the threshold does not make the budget waver", () => {
    let quality = acked(fresh, 1_600, 60);
    expect(budgetOf(quality, OPTIONS, 0)).toBe(768);
    for (let count = 0; count < 100; count += 1) {
      quality = afterAck(quality, count % 2 === 0 ? 1_300 : 1_600);
      expect(budgetOf(quality, OPTIONS, 0)).toBe(768);
    }
  });

  test("every trouble takes a rung; eight frames acknowledged in a row give one back", () => {
    let quality = afterTrouble(fresh);
    expect(budgetOf(quality, OPTIONS, 0)).toBe(768);
    quality = afterTrouble(afterTrouble(quality));
    expect(budgetOf(quality, OPTIONS, 0)).toBe(512);
    quality = afterTrouble(acked(quality, 100, 7));
    expect(budgetOf(acked(quality, 100, 7), OPTIONS, 0)).toBe(512);
    expect(budgetOf(acked(quality, 100, 8), OPTIONS, 0)).toBe(768);
    expect(budgetOf(acked(quality, 100, 16), OPTIONS, 0)).toBe(1_024);
  });

  test("a data cap presses when it is used faster than the day passes", () => {
    const rungAt = (bytes: number, share: number) =>
      rungOf(afterBytes(fresh, bytes, 0), CAPPED, share * DAY_MS);
    expect(rungAt(24_000, 0)).toBe(0);
    expect(rungAt(40_000, 0.1)).toBe(1);
    expect(rungAt(40_000, 0.5)).toBe(0);
    expect(rungAt(70_000, 0.1)).toBe(2);
    expect(rungAt(92_000, 0.99)).toBe(2);
  });

  test("a data cap that is used up makes new deltas wait until the day is over", () => {
    const used = afterBytes(fresh, 100_000, 1_000);
    expect(restMs(used, CAPPED, 1_000)).toBe(DAY_MS - 1_000);
    expect(restMs(used, CAPPED, DAY_MS)).toBe(0);
    expect(restMs(used, OPTIONS, 1_000)).toBe(0);
    expect(restMs(afterBytes(fresh, 99_999, 0), CAPPED, 0)).toBe(0);
    const tomorrow = afterBytes(used, 500, DAY_MS + 7);
    expect(tomorrow).toMatchObject({ dayBytes: 500, dayFromMs: DAY_MS + 7 });
    expect(budgetOf(tomorrow, CAPPED, DAY_MS + 7)).toBe(1_024);
  });

  test("whatever happens, the budget is one of three", () => {
    const happening = fc.oneof(
      fc.record({ ack: fc.integer({ min: 0, max: 60_000 }) }),
      fc.record({ bytes: fc.nat(60_000) }),
      fc.constant("trouble" as const),
    );
    const budget = fc.integer({ min: 256, max: 15_360 });
    fc.assert(
      fc.property(fc.array(happening), budget, fc.nat(3 * DAY_MS), (events, budgetBytes, nowMs) => {
        let quality = fresh;
        for (const event of events) {
          if (event === "trouble") quality = afterTrouble(quality);
          else if ("ack" in event) quality = afterAck(quality, event.ack);
          else quality = afterBytes(quality, event.bytes, nowMs);
        }
        const options = { budgetBytes, dailyBytesMax: 50_000 };
        const rungs = [budgetBytes, Math.floor(budgetBytes * 0.75), Math.floor(budgetBytes / 2)];
        expect(rungs).toContain(budgetOf(quality, options, nowMs));
        expect(restMs(quality, options, nowMs)).toBeLessThanOrEqual(DAY_MS);
      }),
    );
  });
});
