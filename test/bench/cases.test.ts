import { describe, expect, it } from "vitest";
import {
  type BaselineContext,
  fixedBaselines,
  productQuantiser,
} from "../../bench/codec/baselines.ts";
import { limitOf } from "../../bench/codec/bound.ts";
import { type Bench, casesOf, DRIFT_COSINE, SETTLING_PUSHES } from "../../bench/codec/cases.ts";
import type { Coder, Coding } from "../../bench/codec/coder.ts";
import { envelopeOf } from "../../bench/codec/envelope.ts";
import { meanOf } from "../../bench/codec/knowledge.ts";
import { nmseOfMean } from "../../bench/codec/many-devices.ts";
import { rounded } from "../../bench/codec/rows.ts";
import { iidSet } from "../../bench/codec/sets.ts";
import { tableOf } from "../../bench/codec/table.ts";
import { loadZstd19 } from "../../bench/codec/zstd19.ts";
import { loadZstd } from "../../src/wire/index.ts";

const dim = 32;
const set = iidSet({ train: 400, test: 200, query: 20 }, 9, dim);
const mean = meanOf(set.train, dim);
const bench: Bench = {
  set,
  mean,
  limit: limitOf(new Float64Array(dim).fill(1 / dim), true),
  pushes: 3,
  pulls: 2,
  timing: { runsMin: 1, runsMax: 1, msMax: 0 },
  costTiming: { runsMin: 1, runsMax: 1, msMax: 0 },
};
const compress = await loadZstd19();
const zstd = await loadZstd();
const envelope = envelopeOf(compress, (bytes) => zstd.decompress(bytes, 2 ** 20));
const context: BaselineContext = { dim, mean, envelope, compress };
const baselines = fixedBaselines(context);

/** Hands every vector through unharmed, and remembers what it was asked. */
function honest(): Coder & { readonly jobs: Parameters<Coder["encode"]>[0][] } {
  const jobs: Parameters<Coder["encode"]>[0][] = [];
  return {
    method: "honest",
    states: null,
    mode: "tracking",
    seeded: false,
    covers: () => true,
    encode(job): Coding {
      jobs.push(job);
      return { frameBytes: 1000 + jobs.length, codedBytes: 900, decoded: job.vectors };
    },
    decode: () => {},
    jobs,
  };
}

describe("bench: the cases", () => {
  it("bench: every method leaves one row per case, on complete frames", () => {
    for (const coder of [
      ...baselines,
      productQuantiser(set.train, { rowsMax: 300, iterations: 2 }, context),
    ]) {
      const rows = casesOf(coder, bench);
      expect(rows.map((row) => row.case)).toEqual(
        ["push", "drift", "pull", "pull2"].filter((name) => coder.covers(name as never)),
      );
      for (const row of rows) {
        // Ten or a hundred ids of eight bytes are in every frame.
        expect(row.bytes).toBeGreaterThan(row.budget === 1024 ? 80 : 700);
        expect(row.cosine).toBeGreaterThan(0.7);
        expect(row.cosine).toBeLessThanOrEqual(1 + 1e-9);
        expect(row.recall10 === null).toBe(!row.case.startsWith("pull"));
        if (row.gapDb !== null) expect(row.gapDb).toBeGreaterThan(0);
      }
    }
  });

  it("bench: a second frame on top of the first comes closer", () => {
    const oneBit = baselines.find(({ method }) => method === "lloyd-max-1bit") as Coder;
    const [, , pull, pull2] = casesOf(oneBit, bench);
    expect(pull2?.nmse).toBeLessThan(0.5 * (pull?.nmse ?? 0));
  });

  it("bench: a drift comes on top of the pushes before it, and moves by as much as it says", () => {
    const coder = honest();
    casesOf(coder, bench);
    const [push] = coder.jobs.filter((job) => job.case === "push");
    const drifts = coder.jobs.filter((job) => job.case === "drift");
    const moved = drifts.filter((job) => job.vectors !== push?.vectors);
    expect(push?.on).toBeNull();
    const [drift] = drifts;
    expect(drift?.on?.decoded).toBe(push?.vectors);
    // Of each push: one drift right after it, further pushes, one drift after those; and one is timed.
    expect(drifts.length).toBe(bench.pushes * (1 + SETTLING_PUSHES - 1 + 1) + 1);
    expect(moved.length).toBeGreaterThan(0);
    const cosines = Array.from({ length: 10 }, (_, row) => {
      let dot = 0;
      for (let at = row * dim; at < (row + 1) * dim; at += 1) {
        dot += (push?.vectors[at] ?? 0) * (drift?.vectors[at] ?? 0);
      }
      return dot;
    });
    const average = cosines.reduce((a, b) => a + b) / 10;
    expect(Math.abs(average - DRIFT_COSINE)).toBeLessThan(0.01);
  });

  it("bench: the bytes of a row are those of the largest frame", () => {
    const [push] = casesOf(honest(), bench);
    expect(push?.bytes).toBe(1003);
    expect(push?.nmse).toBe(0);
    expect(push?.gapDb).toBeNull();
  });

  it("bench: the mean of many gains from seeds, and one sender stands for all without", () => {
    const by = (name: string) => baselines.find(({ method }) => method === name) as Coder;
    const eden = nmseOfMean(by("eden-1bit"), bench, 100);
    expect((eden?.n1 ?? 0) / (eden?.n100 ?? 1)).toBeGreaterThan(50);
    expect(eden?.n1000).toBeNull();
    const biased = nmseOfMean(by("lloyd-max-1bit"), bench, 100);
    expect(biased?.n1000).toBe(biased?.n1);
  });

  it("bench: rows and tables say the same", () => {
    const rows = casesOf(baselines[4] as Coder, bench).map(rounded);
    const table = tableOf(rows);
    expect(table).toContain("iid: push (budget 1024 bytes)");
    for (const row of rows) expect(table).toContain(row.cosine.toFixed(4));
    expect(JSON.parse(JSON.stringify(rows))).toEqual(rows);
  });
});
