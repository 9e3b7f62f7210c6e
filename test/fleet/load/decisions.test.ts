/**
 * What a run decides without doing anything: scenarios, networks, thresholds, the verdict on itself.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/index.ts";
import { Histogram } from "../../../src/fleet/load/histogram.ts";
import { NETWORKS, transitMs, waitMs } from "../../../src/fleet/load/network.ts";
import { type RunPart, sharesOf } from "../../../src/fleet/load/plan.ts";
import { judgeGenerator } from "../../../src/fleet/load/result.ts";
import {
  cutAtMs,
  plannedSignals,
  rampMs,
  rateFactor,
  SCENARIOS,
  type ScenarioName,
} from "../../../src/fleet/load/scenario.ts";
import { queueDepthOf } from "../../../src/fleet/load/servers.ts";
import { Tally } from "../../../src/fleet/load/tally.ts";
import { judgeThresholds, parseThreshold } from "../../../src/fleet/load/threshold.ts";

const names = Object.keys(SCENARIOS) as ScenarioName[];

describe("scenarios", () => {
  it.each(names)("%s signals somebody exactly when it says that it touches servers", (name) => {
    const signals = plannedSignals(name, 30_000, [11, 12]);
    expect(signals.length > 0).toBe(SCENARIOS[name].touches !== null);
    for (const { atMs } of signals) {
      expect(atMs).toBeGreaterThan(0);
      expect(atMs).toBeLessThan(30_000);
    }
  });

  it("rolling-restart and gateway-loss take one process after the other", () => {
    expect(plannedSignals("rolling-restart", 30_000, [11, 12])).toEqual([
      { atMs: 10_000, pid: 11, signal: "SIGTERM" },
      { atMs: 20_000, pid: 12, signal: "SIGTERM" },
    ]);
    expect(plannedSignals("gateway-loss", 30_000, [11])).toEqual([
      { atMs: 15_000, pid: 11, signal: "SIGKILL" },
    ]);
  });

  it("slow-redis lets go whom it stopped, every time", () => {
    const signals = plannedSignals("slow-redis", 30_000, [11]).map(({ signal }) => signal);
    expect(signals).toEqual(Array.from({ length: 10 }, () => ["SIGSTOP", "SIGCONT"]).flat());
  });

  it("evening-peak rises to three times the rate and comes back; the others stay", () => {
    expect(rateFactor("evening-peak", 0.5)).toBeCloseTo(3);
    expect(rateFactor("evening-peak", 0)).toBeCloseTo(1);
    expect(rateFactor("evening-peak", 1)).toBeCloseTo(1);
    expect(rateFactor("steady", 0.5)).toBe(1);
  });

  it("the ramp follows the connect rate, but a cold start has none to speak of", () => {
    expect(rampMs("steady", 1_000, 200)).toBe(5_000);
    expect(rampMs("cold-start", 10_000, 200)).toBe(1_000);
    expect(cutAtMs("reconnect-storm", 30_000)).toBe(15_000);
    expect(cutAtMs("steady", 30_000)).toBeNull();
  });
});

describe("networks", () => {
  it("none costs nothing; each other takes its round trip at least, and its stall at most", () => {
    const random = seededRandom(5);
    const next = () => random.next();
    expect(transitMs(NETWORKS.none, next)).toBe(0);
    for (const profile of Object.values(NETWORKS).slice(1)) {
      const { roundTripMs, jitterMs, stallMs, stallShare } = profile;
      const times = Array.from({ length: 5_000 }, () => transitMs(profile, next));
      expect(Math.min(...times)).toBeGreaterThanOrEqual(roundTripMs);
      expect(Math.max(...times)).toBeLessThanOrEqual(roundTripMs + jitterMs + stallMs);
      const stalled = times.filter((ms) => ms > roundTripMs + jitterMs).length;
      expect(stalled).toBeGreaterThan(0);
      expect(stalled).toBeLessThan(5_000 * stallShare * 3);
    }
  });

  it("cuts come as often as the profile says, in the mean, and never where it says never", () => {
    const random = seededRandom(6);
    const waits = Array.from({ length: 20_000 }, () => waitMs(60, () => random.next()));
    const meanMs = waits.reduce((sum, ms) => sum + ms, 0) / waits.length;
    expect(meanMs).toBeGreaterThan(58_000);
    expect(meanMs).toBeLessThan(62_000);
    expect(waitMs(0, () => 0.5)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("shares", () => {
  it("cover every device once and none is empty", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 9 }), (all, by) => {
        const shares = sharesOf(all, by);
        const devices = shares.flatMap(({ first, count }) =>
          Array.from({ length: count }, (_, index) => first + index),
        );
        expect(devices).toEqual(Array.from({ length: all }, (_, index) => index));
        expect(Math.min(...shares.map(({ count }) => count))).toBeGreaterThan(0);
      }),
    );
  });
});

describe("thresholds", () => {
  const values = { ack_p99: 480 } as Parameters<typeof judgeThresholds>[1];
  const parsed = (text: string) => {
    const threshold = parseThreshold(text);
    if ("fault" in threshold) throw new Error(threshold.fault);
    return threshold;
  };

  it.each([
    ["ack_p99<500", true],
    ["ack_p99 < 480", false],
    ["ack_p99<=480", true],
    ["ack_p99>479.5", true],
    ["ack_p99>=481", false],
    ["ack_p99=480", true],
  ])("%s against 480 is %s", (text, ok) => {
    expect(judgeThresholds([parsed(text)], values)).toEqual([{ expression: text, value: 480, ok }]);
  });

  it.each(["", "ack_p99", "ack_p99<", "ack_p99<fast", "ack_p99<-1", "<500", "ack_p99<500x"])(
    "'%s' is no threshold, and is named in the answer",
    (text) => {
      expect(parseThreshold(text)).toEqual({ fault: expect.stringContaining(`'${text}'`) });
    },
  );

  it("an unknown metric is named beside those that there are", () => {
    expect(parseThreshold("ack_p98<5")).toEqual({
      fault: expect.stringMatching(/no metric ack_p98; there are ack_p50, .*schedule_lag_p99/),
    });
    expect(parseThreshold("constructor<5")).toEqual({ fault: expect.any(String) });
  });
});

describe("the generator's verdict on itself", () => {
  const part = (lateMs: number, utilisation: number): RunPart => {
    const late = new Histogram();
    for (let index = 0; index < 100; index += 1) late.add(index < 97 ? 1 : lateMs);
    const nothing = new Histogram().data();
    return {
      counts: new Tally().counts,
      ...{ ackMs: nothing, connectMs: nothing, lateMs: late.data(), tlsResumed: 0 },
      health: { loopLagMsP99: 3, utilisation },
    };
  };

  it("in time and idle enough, it speaks for the server", () => {
    expect(judgeGenerator([part(19, 0.5), part(2, 0.89)])).toMatchObject({
      ...{ saturated: false, reasons: [], processes: 2, utilisation: 0.89 },
    });
  });

  it("a late schedule or one busy process of two is saturation, and it says which", () => {
    expect(judgeGenerator([part(200, 0.5)])).toMatchObject({
      ...{ saturated: true, reasons: [expect.stringContaining("20 ms late")] },
    });
    expect(judgeGenerator([part(2, 0.2), part(2, 0.95)])).toMatchObject({
      ...{ saturated: true, reasons: [expect.stringContaining("0.95")] },
    });
  });
});

describe("queue depth", () => {
  it("is jobs added minus jobs done over all pages; unknown where no page has them", () => {
    const gateway = "# HELP omega_queue_jobs_added_total x\nomega_queue_jobs_added_total 17\n";
    const aggregator = 'omega_queue_jobs_done_total{a="b c"} 5\nomega_queue_jobs_done_total_x 9\n';
    expect(queueDepthOf([gateway, aggregator])).toBe(12);
    expect(queueDepthOf([aggregator])).toBe(0);
    expect(queueDepthOf(["omega_other 3\n"])).toBeNull();
  });
});
