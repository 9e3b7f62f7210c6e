import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EndpointChooser, type FailureKind } from "../../device/session-endpoints.ts";
import { seededRandom } from "../../src/core/index.ts";

const BACKOFF = { delayMsBase: 1_000, delayMsMax: 300_000 };
const POLICY = { backoff: BACKOFF, stableMs: 60_000, failBackMs: 600_000 };
const latest = { next: () => 0.999_999 };

function chooser(priorities: readonly number[], random = latest) {
  const endpoints = priorities.map((priority, index) => ({ url: `mqtt://gw-${index}`, priority }));
  return new EndpointChooser(endpoints, POLICY, random);
}

describe("endpoints", () => {
  it("the first attempt is immediate and goes to the lowest priority number", () => {
    expect(chooser([2, 1, 3]).next(0)).toMatchObject({ index: 1, delayMs: 0 });
  });

  it("a failed endpoint rests while another one is tried", () => {
    const choice = chooser([0, 1]);
    choice.failed(0, "network", 0);
    const next = choice.next(0);
    expect(next.index).toBe(1);
    expect(next.delayMs).toBeLessThan(1_000);
  });

  it("the last good endpoint is kept among equals", () => {
    const choice = chooser([0, 0, 0]);
    choice.connected(2);
    expect(choice.next(0).index).toBe(2);
  });

  it("delays double per round over all endpoints up to the bound, with full jitter", () => {
    const choice = chooser([0]);
    const delays: number[] = [];
    let nowMs = 0;
    for (let round = 0; round < 12; round += 1) {
      choice.failed(0, "network", nowMs);
      const { delayMs } = choice.next(nowMs);
      delays.push(Math.round(delayMs / 1000));
      nowMs += delayMs;
    }
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    const jittered = chooser([0], seededRandom(7));
    for (let round = 0; round < 6; round += 1) jittered.failed(0, "network", 0);
    expect(jittered.next(0).delayMs).toBeLessThanOrEqual(32_000);
  });

  it("a connection that does not stay up does not reset the delays; a stable one does", () => {
    const choice = chooser([0]);
    for (let round = 0; round < 5; round += 1) {
      choice.connected(0);
      choice.failed(0, "network", 0);
    }
    expect(choice.next(0).delayMs).toBeGreaterThan(15_000);
    choice.stable(0);
    choice.failed(0, "network", 100_000);
    expect(choice.next(100_000).delayMs).toBeLessThanOrEqual(1_000);
  });

  it("busy waits longer than dead, refused credentials longest", () => {
    const delay = (kind: FailureKind) => {
      const choice = chooser([0], { next: () => 0 });
      choice.failed(0, kind, 0);
      return choice.next(0).delayMs;
    };
    expect(delay("network")).toBe(0);
    expect(delay("busy")).toBe(4_000);
    expect(delay("credentials")).toBe(150_000);
  });

  it("on a second choice the device plans to go back, and then tries the better one at once", () => {
    const choice = chooser([0, 1]);
    choice.failed(0, "credentials", 0);
    expect(choice.next(0).index).toBe(1);
    choice.connected(1);
    const delayMs = choice.failBackDelayMs(1) ?? 0;
    expect(delayMs).toBeGreaterThan(300_000);
    expect(delayMs).toBeLessThan(900_001);
    expect(choice.failBackDelayMs(0)).toBeNull();
    choice.failBack(1);
    expect(choice.next(1_000)).toMatchObject({ index: 0, delayMs: 0 });
  });

  it("whatever fails, there is always a next attempt within the bounds", () => {
    const kind = fc.constantFrom<FailureKind>("network", "busy", "credentials");
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
        fc.array(kind),
        (seed, priorities, kinds) => {
          const choice = chooser(priorities, seededRandom(seed));
          let nowMs = 0;
          for (const failure of kinds) {
            const { index, delayMs } = choice.next(nowMs);
            expect(delayMs).toBeGreaterThanOrEqual(0);
            expect(delayMs).toBeLessThanOrEqual(2 * BACKOFF.delayMsMax);
            nowMs += delayMs;
            choice.failed(index, failure, nowMs);
          }
        },
      ),
    );
  });
});
