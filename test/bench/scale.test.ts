import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { deviceSetsOf, keyOf, patternsOf, setOf } from "../../bench/scale/device-sets.ts";
import { bodyAt, frameOf, makePool, readPool, writePool } from "../../bench/scale/frame-pool.ts";
import { parseOptions } from "../../bench/scale/options.ts";
import { scalePlot } from "../../bench/scale/plots.ts";
import { DIMENSIONS, pointsOf } from "../../bench/scale/points.ts";
import { figuresOf, mediansOf, type Run, ratiosOf, textOf } from "../../bench/scale/report.ts";
import { DEFAULT_FOLD_POLICY } from "../../src/aggregate/fold-policy.ts";
import { limits } from "../../src/core/index.ts";
import { decodeDelta, loadZstd, peekFrame } from "../../src/wire/index.ts";

const shapes = DIMENSIONS.flatMap((dimension) =>
  pointsOf(dimension, false).map(({ shape }) => shape),
);
const run = (over: Partial<Run>): Run => ({
  ...{ dimension: "devices", at: 1_000, codec: 0, round: 1 },
  ...{ cpuUsPerDelta: 100, gatewayUs: 30, redisUs: 20, aggregatorUs: 50 },
  ...{ aggregatorRssMiB: 100, redisMiB: 50, frameBytes: 1_000, ratePerS: 2_000, othersCores: 0 },
  ...over,
});

describe("bench: scale", () => {
  it.each(shapes)(
    "bench: every pattern of $catalogue is somebody's, and no tenant has too many: $patternsPerDevice each",
    (shape) => {
      const sets = deviceSetsOf(shape);
      const ofTenant = new Map<string, Set<number>>();
      for (let device = 0; device < Math.min(shape.devices, 1_000); device += 1) {
        const own = Array.from({ length: sets.setsPerDevice }, (_, turn) =>
          setOf(sets, device, turn),
        );
        expect(new Set(own).size).toBe(sets.setsPerDevice);
        expect(setOf(sets, device, sets.setsPerDevice)).toBe(own[0]);
        const { tenant } = keyOf(sets, device);
        const all = ofTenant.get(tenant) ?? new Set();
        for (const set of own) all.add(set);
        ofTenant.set(tenant, all);
      }
      const known = [...ofTenant.values()].map((all) => all.size * sets.perDelta);
      expect(known.reduce((sum, count) => sum + count, 0)).toBe(shape.catalogue);
      expect(Math.max(...known)).toBeLessThanOrEqual(DEFAULT_FOLD_POLICY.tenantPatternsMax);
    },
  );

  it.each([0, 1] as const)(
    "bench: a pool of codec %i holds real deltas of the patterns asked for",
    async (codec) => {
      const zstd = await loadZstd();
      const plan = { codec, perDelta: 10, setCount: 3 };
      const dir = mkdtempSync(join(tmpdir(), "omega-test-pool-"));
      const file = join(dir, "pool");
      writePool(file, makePool(plan, zstd));
      const bodies = readPool(file);
      rmSync(dir, { recursive: true });
      const vectors = [0, 1, 2].map((round) => {
        const body = bodies[bodyAt(2, round)];
        if (body === undefined) throw new Error("the pool has no such body");
        const frame = peekFrame(frameOf(codec, 7 + round, body), limits.UP_FRAME_BYTES_MAX);
        expect(frame.header).toMatchObject({ kind: "delta", seq: 7 + round, codec });
        const context = { models: { get: () => null }, sender: "default/tv-1" };
        const { upserts } = decodeDelta(frame, zstd, context);
        expect(upserts.map(({ id }) => id)).toEqual(patternsOf(10, 2));
        return upserts.map(({ residual }) => [...(residual ?? [])].join());
      });
      expect(vectors[1]).not.toEqual(vectors[0]);
      expect(vectors[2]).toEqual(vectors[0]);
    },
  );

  it("bench: what 50,000 devices cost is held against fewer in the same round", () => {
    const runs = [
      ...[run({ at: 10_000 }), run({ round: 2, at: 10_000 }), run({ round: 3, at: 10_000 })],
      ...[run({}), run({ at: 50_000, cpuUsPerDelta: 110, aggregatorRssMiB: 149 })],
      // The machine is slow in round 2, for both.
      run({ round: 2, cpuUsPerDelta: 300 }),
      run({ round: 2, at: 50_000, cpuUsPerDelta: 360, aggregatorRssMiB: 149 }),
      ...[run({ round: 3 }), run({ round: 3, at: 50_000, cpuUsPerDelta: 190 })],
    ];
    const [cost, memory, ...more] = ratiosOf(runs);
    expect(cost).toMatchObject({ value: 1.2, floor: 1.2, rounds: [1.1, 1.2, 1.9] });
    expect(memory).toMatchObject({ value: 1_280, floor: 1_536 });
    expect(more).toEqual([]);
    expect(mediansOf(runs).map(({ at, cpuUsPerDelta }) => [at, cpuUsPerDelta])).toEqual([
      [10_000, 100],
      [1_000, 100],
      [50_000, 190],
    ]);
    const report = { machine: "m", date: "2026-11-26", ...figuresOf(runs, true) };
    expect(textOf(report)).toMatch(/devices +50000 +0 +190 +1\.90/);
    expect(ratiosOf([run({})])).toEqual([]);
  });

  it("bench: a plot has the values of what was varied under it, and a file of its own", () => {
    const rows = mediansOf([run({}), run({ at: 10_000 }), run({ at: 50_000, codec: 1 })]);
    const svg = scalePlot("devices", rows) ?? "";
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    for (const label of [">1,000<", ">10,000<", ">50,000<", ">aggregator, codec 1<"]) {
      expect(svg).toContain(label);
    }
    expect(svg).not.toContain("NaN");
    expect(svg).not.toMatch(/> *\d+ s</);
    expect(scalePlot("shards", rows)).toBeNull();
  });

  it("bench: dimensions are chosen by name, and a wrong name is told the right ones", () => {
    expect(parseOptions(["--only", "shards,devices"]).dimensions).toEqual(["shards", "devices"]);
    expect(parseOptions([])).toMatchObject({ quick: false, plots: null, dimensions: DIMENSIONS });
    expect(() => parseOptions(["--only", "typo"])).toThrow(/devices, shards, patterns, catalogue/);
  });
});
