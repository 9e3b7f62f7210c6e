import { describe, expect, it } from "vitest";
import { frameOf, frameTemplate } from "../../bench/ingest/frames.ts";
import { parseOptions } from "../../bench/ingest/options.ts";
import { PROTOCOLS } from "../../bench/ingest/protocols.ts";
import {
  figuresOf,
  isGeneratorLimited,
  isMet,
  mediansOf,
  type Run,
  ratiosOf,
  textOf,
} from "../../bench/ingest/report.ts";
import { codec0, loadZstd, peekFrame } from "../../src/wire/index.ts";

const run = (over: Partial<Run>): Run => ({
  round: 1,
  scenario: "one-in-flight",
  system: "omega-sync",
  ratePerS: 700,
  ackMsP50: 1,
  ackMsP99: 2,
  cpuUsPerDelta: 30,
  rssMiB: 100,
  behindMs: 50,
  cpuUsPerDeltaOf: { gateway: 20, redis: 10 },
  generatorCores: 0.4,
  generatorBusy: 0.5,
  generatorLateMsP99: 0,
  generatorLimited: false,
  othersCores: 0.05,
  ...over,
});

describe("bench: ingest", () => {
  it.each([1, 23, 24, 255, 256, 65_535, 65_536])("bench: a frame says seq %i", async (seq) => {
    const zstd = await loadZstd();
    const template = frameTemplate({ device: 3, epoch: 2, variant: 1 }, Math.random, zstd);
    const { header } = peekFrame(frameOf(template, seq), 4_096);
    expect(header).toMatchObject({ kind: "delta", epoch: 2, seq, codec: codec0.id });
  });

  it("bench: figures are medians over the rounds, those of each process too", () => {
    const rows = mediansOf([
      run({ round: 1 }),
      run({ round: 2, ratePerS: 900, cpuUsPerDeltaOf: { gateway: 30, redis: 12 } }),
      run({ round: 3, ratePerS: 100, cpuUsPerDeltaOf: { gateway: 25, redis: 11 } }),
      run({ system: "aedes, stores nothing", ratePerS: 1_000 }),
    ]);
    expect(rows.map(({ ratePerS }) => ratePerS)).toEqual([700, 1_000]);
    expect(rows[0]?.cpuUsPerDeltaOf).toEqual({ gateway: 25, redis: 11 });
    expect(rows[0]).not.toHaveProperty("round");
  });

  it("bench: a ratio is the median of those of each round, and says which way its floor points", () => {
    const bare = "aedes, stores nothing";
    const ratios = ratiosOf([
      ...[run({ ratePerS: 700 }), run({ system: bare, ratePerS: 1_000 })],
      // The machine is slow in round 2, for both.
      ...[run({ round: 2, ratePerS: 80 }), run({ round: 2, system: bare, ratePerS: 100 })],
      ...[run({ round: 3, ratePerS: 900 }), run({ round: 3, system: bare, ratePerS: 1_000 })],
      run({ system: "Fastify + Queue.add", cpuUsPerDelta: 100 }),
      run({ system: "omega-sync, no fold", cpuUsPerDelta: 40 }),
    ]);
    expect(ratios.map(({ name, value, floor }) => [name, value, floor])).toEqual([
      ["one in flight: rate, omega-sync / bare aedes", 0.8, 0.7],
      ["one in flight: CPU per delta, omega-sync / Fastify (at most)", 0.3, 0.25],
      ["one in flight: CPU µs per delta, gateway + Redis + queue worker (at most)", 40, 50],
    ]);
    expect(ratios[0]?.rounds).toEqual([0.7, 0.8, 0.9]);
    expect(ratios.map(isMet)).toEqual([true, false, true]);
  });

  it("bench: a ratio that leans on a generator at its limit is marked", () => {
    expect(isGeneratorLimited({ busy: 0.6, cores: 0.5, lateMsP99: 0 })).toBe(false);
    expect(isGeneratorLimited({ busy: 0.95, cores: 0.5, lateMsP99: 0 })).toBe(true);
    expect(isGeneratorLimited({ busy: 0.1, cores: 0.1, lateMsP99: 8 })).toBe(true);
    const runs = [run({}), run({ system: "aedes, stores nothing", generatorLimited: true })];
    const [ratio] = ratiosOf(runs);
    expect(ratio).toMatchObject({ value: 1, generatorLimited: true });
    const report = { machine: "m", date: "2026-11-26", ...figuresOf(runs) };
    expect(textOf(report)).toMatch(/bare aedes +1\* +0.7 +met/);
  });

  it("bench: a report says whether others were too busy for it", () => {
    const report = (othersCores: number) =>
      textOf({ machine: "m", date: "2026-11-26", ...figuresOf([run({ othersCores })]) });
    expect(report(0.1)).toMatch(/used 0\.1 cores meanwhile\.$/m);
    expect(report(1.5)).toMatch(/used 1\.5 cores meanwhile: TOO BUSY/);
  });

  it("bench: answers are counted whole, and a refusal is an error", () => {
    const { mqtt, http } = PROTOCOLS;
    expect(mqtt.answers(Buffer.from([0x40, 2, 0, 1, 0x40, 2]))).toEqual({ count: 1, end: 4 });
    expect(() => mqtt.answers(Buffer.from([0x20, 2, 0, 3]))).toThrow(/MQTT/);
    expect(() => http.answers(Buffer.from("HTTP/1.1 500 No\r\n\r\n"))).toThrow(/HTTP/);
  });

  it("bench: the rate of the open loop has a default", () => {
    expect(parseOptions(["--quick"])).toMatchObject({ quick: true, json: false, ratePerS: 5_000 });
  });

  it("bench: scenarios are chosen by name, and a wrong name is told the right ones", () => {
    expect(parseOptions(["--only", "open-loop"]).scenarios).toEqual(["open-loop"]);
    expect(() => parseOptions(["--only", "typo"])).toThrow(/one-in-flight, aof-always, pipelined/);
  });
});
