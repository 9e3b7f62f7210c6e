import { describe, expect, it } from "vitest";
import { heatSvg } from "../../../src/fleet/load/heat-svg.ts";
import { Histogram } from "../../../src/fleet/load/histogram.ts";
import type { LoadPlan, RunPart } from "../../../src/fleet/load/plan.ts";
import { escapeXml, plotSvg } from "../../../src/fleet/load/plot-svg.ts";
import { reportHtml } from "../../../src/fleet/load/report-html.ts";
import { type FleetResult, resultOf } from "../../../src/fleet/load/result.ts";
import { Tally } from "../../../src/fleet/load/tally.ts";
import { parseThreshold, type Threshold } from "../../../src/fleet/load/threshold.ts";
import { type Moment, Timeline } from "../../../src/fleet/load/timeline.ts";

const PLAN: LoadPlan = {
  target: { protocol: "mqtt", host: "::1", port: 1883, path: "/mqtt", ca: null },
  ...{ tenant: "default", devices: 10, durationMs: 3_000, connectRate: 10, intervalMs: 1_000 },
  ...{ jitter: 0, churnPerMinute: 0, network: "none", scenario: "steady", secret: "s3cret" },
  ...{ dim: 8, patterns: 1, frameBytes: 128, seed: 1, epoch: 1 },
};

/** Two processes over four seconds, of which the first is the ramp; each acks all but `lost` in the last. */
function run(lateMs = 1, lost = 0, queueDepth: number | null = 3): FleetResult {
  const timeline = new Timeline({
    ...{ processes: 2, queueDepth: () => queueDepth, onMoment: () => {} },
  });
  const parts = [0, 1].map((): RunPart => {
    const tally = new Tally();
    tally.lateMs.add(lateMs);
    for (let second = 1; second <= 4; second += 1) {
      tally.moved(second === 1 ? null : second - 2, second - 1);
      for (let delta = 0; delta < 100; delta += 1) {
        tally.count("offered");
        if (second < 4 || delta >= lost) tally.acked(second * 10);
      }
      timeline.add(tally.sample(second));
    }
    return {
      ...{ counts: tally.counts, ackMs: tally.ackMs, connectMs: new Histogram().data() },
      ...{ lateMs: tally.lateMs.data(), tlsResumed: 0 },
      health: { loopLagMsP99: 1, utilisation: 0.1 },
    };
  });
  timeline.end();
  const thresholds = ["ack_p99<15", "lost=0"].map((text) => parseThreshold(text) as Threshold);
  const { moments } = timeline;
  const input = { plan: PLAN, parts, moments, thresholds, startedAtMs: 0, interrupted: false };
  return resultOf(input);
}

describe("a fleet's result", () => {
  it("adds the processes up, second by second and as a whole", () => {
    const result = run();
    expect(result).toMatchObject({ target: "mqtt://[::1]:1883", rampS: 1, durationS: 3 });
    expect(result.counts).toMatchObject({ offered: 800, acked: 800 });
    expect(result.moments.map(({ second, acked }) => [second, acked])).toEqual([
      ...[1, 2, 3, 4].map((second) => [second, 200]),
    ]);
    expect(result.moments[1]).toMatchObject({ versions: [[1, 2]], queueDepth: 3, waiting: 0 });
    expect(result.metrics).toMatchObject({ ack_max: 40, offered_per_s: 200, lost: 0 });
  });

  it("judges the thresholds by its metrics", () => {
    expect(run().thresholds).toEqual([
      { expression: "ack_p99<15", value: 40, ok: false },
      { expression: "lost=0", value: 0, ok: true },
    ]);
  });

  it("states a limit only of a server that fell behind a generator that did not", () => {
    expect(run()).toMatchObject({ serverLimitPerS: null });
    expect(run().serverLimitNote).toMatch(/kept up with 200 deltas\/s/);
    const behind = run(1, 60);
    expect(behind.metrics.lost).toBe(120);
    expect(behind.serverLimitPerS).toBe(160);
    const saturated = run(500, 60);
    expect(saturated.serverLimitPerS).toBeNull();
    expect(saturated.serverLimitNote).toMatch(/no server limit/);
  });

  it("never repeats the secret", () => {
    expect(JSON.stringify(run())).not.toContain("s3cret");
  });
});

describe("a fleet's report", () => {
  it("is one file: no script, nothing from elsewhere", () => {
    const html = reportHtml(run());
    expect(html).not.toMatch(/<script|src=|href=|url\(|@import|https?:/i);
    expect(html).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
  });

  it("THREATS 24: shows what others named as text, and says that nothing in it may run or load", () => {
    const html = reportHtml({ ...run(), target: `mqtt://<img src=x onerror=alert(1)>"'` });
    expect(html).not.toMatch(/<img/);
    expect(html).toContain("&#60;img");
    expect(html).toContain(
      `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    );
  });

  it("has its plots, the numbers and the thresholds", () => {
    const html = reportHtml(run());
    const titles = [...html.matchAll(/aria-label="([^"]*)"/g)].map(([, title]) => title);
    expect(titles).toEqual([
      ...[
        "PUBACK latencies",
        "PUBACK latency",
        "Throughput",
        "Devices",
        "Waiting",
        "Devices per version",
      ],
      "Queue depth",
    ]);
    expect(html).toContain(">version 3</text>");
    expect(html).toMatch(/ack_p99&#60;15<\/code><\/td><td class="number">40<\/td>.*broken/);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("has no queue plot when no server was asked, and says so when the generator was saturated", () => {
    expect(reportHtml(run(1, 0, null))).not.toContain("Queue depth");
    expect(reportHtml(run(1))).not.toContain("generator was saturated");
    expect(reportHtml(run(500))).toContain("<strong>The generator was saturated.</strong>");
  });

  it("draws a run without a single delta, or a single second, without a broken number", () => {
    const moments: readonly Moment[] = run().moments.slice(0, 1);
    for (const some of [[], moments]) {
      const html = reportHtml({ ...run(), moments: some });
      expect(html).not.toMatch(/NaN|undefined|Infinity/);
    }
  });
});

describe("a plot", () => {
  const seconds = [1, 2, 3];
  const of = (values: readonly (number | null)[], log = false) =>
    plotSvg({ title: "t", unit: "u", seconds, series: [{ name: "s", values }], log });
  const pathOf = (svg: string) => /<path d="([^"]*)"/.exec(svg)?.[1] ?? "";

  it("leaves a gap where nothing is known", () => {
    expect(pathOf(of([1, null, 2])).match(/[ML]/g)).toEqual(["M", "M"]);
    expect(pathOf(of([1, 1, 2])).match(/[ML]/g)).toEqual(["M", "L", "L"]);
  });

  it("puts ten times as much equally far up on a logarithmic axis, wherever it is", () => {
    const heights = [...pathOf(of([1, 10, 100], true)).matchAll(/,([\d.]+)/g)].map(
      ([, y]) => +(y ?? 0),
    );
    const [low = 0, middle = 0, high = 0] = heights;
    expect(low - middle).toBeCloseTo(middle - high, 0);
    expect(low).toBeGreaterThan(high);
  });

  it("escapes what it is given", () => {
    expect(escapeXml(`<a href="x">&'`)).toBe("&#60;a href=&#34;x&#34;&#62;&#38;&#39;");
  });
});

describe("the latency histogram over time", () => {
  it("has a cell for each second and octave that deltas fell into, and at most 200 columns", () => {
    const { moments } = run();
    const cells = (svg: string) => [...svg.matchAll(/<rect x="([\d.]+)"/g)].map(([, x]) => x);
    // 10 and 40 ms, between them 20 and 30: each second has one octave.
    expect(cells(heatSvg(moments))).toHaveLength(4);
    const long = Array.from({ length: 1_000 }, (_, index) => ({
      ...(moments[index % 4] as Moment),
      second: index + 1,
    }));
    expect(new Set(cells(heatSvg(long))).size).toBe(200);
  });
});
