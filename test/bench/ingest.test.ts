import { describe, expect, it } from "vitest";
import { frameOf, frameTemplate } from "../../bench/ingest/frames.ts";
import { parseOptions } from "../../bench/ingest/options.ts";
import { PROTOCOLS } from "../../bench/ingest/protocols.ts";
import { isMet, mediansOf, type Row, ratiosOf } from "../../bench/ingest/report.ts";
import { codec0, loadZstd, peekFrame } from "../../src/wire/index.ts";

const row = (over: Partial<Row>): Row => ({
  scenario: "one-in-flight",
  system: "omega-sync",
  ratePerS: 700,
  ackMsP50: 1,
  ackMsP99: 2,
  cpuUsPerDelta: 30,
  rssMiB: 100,
  ...over,
});

describe("bench: ingest", () => {
  it.each([1, 23, 24, 255, 256, 65_535, 65_536])("bench: a frame says seq %i", async (seq) => {
    const zstd = await loadZstd();
    const template = frameTemplate({ device: 3, epoch: 2, variant: 1 }, Math.random, zstd);
    const { header } = peekFrame(frameOf(template, seq), 4_096);
    expect(header).toMatchObject({ kind: "delta", epoch: 2, seq, codec: codec0.id });
  });

  it("bench: figures are medians over the rounds, ratios say which way their floor points", () => {
    const rows = mediansOf([
      ...[row({}), row({ ratePerS: 900 }), row({ ratePerS: 100 })],
      row({ system: "aedes, stores nothing", ratePerS: 1_000 }),
      row({ system: "Fastify + Queue.add", cpuUsPerDelta: 100 }),
    ]);
    expect(rows.map(({ ratePerS }) => ratePerS)).toEqual([700, 1_000, 700]);
    const [rate, cpu] = ratiosOf(rows);
    expect(rate).toMatchObject({ value: 0.7, floor: 0.7 });
    expect(cpu).toMatchObject({ value: 0.3, floor: 0.25 });
    expect([rate, cpu].map((one) => one && isMet(one))).toEqual([true, false]);
    expect(cpu?.name).toMatch(/\(at most\)$/);
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
});
