import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../../src/core/index.ts";
import { stepsServe } from "../../../src/wire/codec1/release1-lay.ts";
import {
  buildLadder1,
  COUNTER_MAX,
  type CodecModel,
  chooseSteps,
  contentHash1,
  downFrames1,
  embeddingsOf,
  fromSpace,
  GRID,
  layRelease1,
  quantiseRelease1,
  type Release,
  type Release1,
  TransitionReader,
  toGrid,
  toSpace,
  vectorsOf,
} from "../../../src/wire/index.ts";
import { dot, gaussian, heldModel } from "./models.ts";
import { feedAll, modelsOf, randomRelease } from "./releases1.ts";

const DIM = 384;
const MEAN_ENERGY = 0.155;

/** Embeddings with the spectrum of real ones, drawn in the coordinates that a model would have. */
function syntheticSource(random: Random): { model: CodecModel; draw: () => Float64Array } {
  const shape = Array.from(
    { length: DIM },
    (_, i) => (i + 4) ** -0.69 * Math.exp(-((i / 220) ** 2.43)),
  );
  const total = shape.reduce((sum, value) => sum + value, 0);
  const sigma = shape.map((value) => Math.sqrt((value / total) * (1 - MEAN_ENERGY)));
  const spread = (share: number) =>
    sigma.map((value) => value * Math.sqrt(share) * gaussian(random));
  const raw = spread(1);
  const mean = raw.map((value) => value * Math.sqrt(MEAN_ENERGY / dot(raw, raw)));
  const centres = Array.from({ length: 64 }, () => spread(0.3));
  const basis = new Float32Array(DIM * DIM);
  for (let row = 0; row < DIM; row += 1) basis[row * DIM + row] = 1;
  const model: CodecModel = {
    version: 1,
    dim: DIM,
    mean: Int16Array.from(mean, (value) => Math.round(value * GRID)),
    spectrum: Int16Array.from(sigma, (value) => Math.round(32 * Math.log2(value * GRID))),
    basis,
  };
  const draw = () => {
    const centre = centres[Math.floor(random.next() * 64)] as number[];
    const own = spread(0.7);
    return unit(own.map((value, at) => value + (mean[at] as number) + (centre[at] as number)));
  };
  return { model, draw };
}

function iidSource(random: Random): { model: null; draw: () => Float64Array } {
  return { model: null, draw: () => unit(Array.from({ length: DIM }, () => gaussian(random))) };
}

function unit(values: readonly number[]): Float64Array {
  const norm = Math.sqrt(dot(values, values));
  return Float64Array.from(values, (value) => value / norm);
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** The share of each query's ten nearest that are among its ten nearest by what was received. */
function recallAt10(
  truth: readonly ArrayLike<number>[],
  seen: readonly ArrayLike<number>[],
  queries: readonly ArrayLike<number>[],
): number {
  const nearest = (query: ArrayLike<number>, among: readonly ArrayLike<number>[]) =>
    among
      .map((vector, index) => ({ index, near: cosine(query, vector) }))
      .sort((a, b) => b.near - a.near)
      .slice(0, 10)
      .map(({ index }) => index);
  let hits = 0;
  for (const query of queries) {
    const wanted = new Set(nearest(query, truth));
    hits += nearest(query, seen).filter((index) => wanted.has(index)).length;
  }
  return hits / (10 * queries.length);
}

/** Floors of cosine and recall. The synthetic model here has not learnt where the clusters lie. */
const SOURCES = [
  {
    name: "synthetic embeddings",
    source: syntheticSource,
    first: [0.937, 0.8],
    second: [0.97, 0.89],
  },
  {
    name: "white noise without a model",
    source: iidSource,
    first: [0.76, 0.5],
    second: [0.9, 0.68],
  },
] as const;

describe.each(SOURCES)("a hundred patterns of $name", ({ source, first, second }) => {
  it("P7: two frames of 5,120 bytes, and what a device sees after each", () => {
    const random = seededRandom(21);
    const { model, draw } = source(random);
    const release = randomRelease(random, 100, DIM, () => toGrid(draw()));
    const trends = release.patterns.slice(0, 20).map(({ id }, at) => ({ id, score: 900 - 7 * at }));
    const laid = layRelease1({ ...release, trends }, model, null);
    const ladder = buildLadder1("acme", laid, [], model);
    const applied = { epoch: COUNTER_MAX, seq: COUNTER_MAX };
    const frames = downFrames1(ladder, { base: 0, applied });
    expect(frames).toHaveLength(2);
    for (const frame of frames) expect(frame.length).toBeLessThanOrEqual(5120);
    const steps = feedAll(
      new TransitionReader(null, modelsOf(...(model === null ? [] : [model]))),
      frames,
    );
    expect(steps.map(({ kind }) => kind)).toEqual(["preview", "release"]);
    const truth = [...release.patterns]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ vector }) => Float64Array.from(vector));
    const queries = Array.from({ length: 100 }, draw);
    for (const [index, [cosineMin, recallMin]] of [first, second].entries()) {
      const step = steps[index];
      if (step?.kind !== "preview" && step?.kind !== "release") throw new Error("seen above");
      const seen = embeddingsOf(step.release, model);
      const cosines = truth.map((vector, at) => cosine(vector, seen[at] as Float32Array));
      expect(
        dot(
          cosines,
          cosines.map(() => 1),
        ) / 100,
      ).toBeGreaterThanOrEqual(cosineMin);
      expect(recallAt10(truth, seen, queries)).toBeGreaterThanOrEqual(recallMin);
    }
  });
});

describe("layers", () => {
  const random = seededRandom(8);
  const model = heldModel(64, 2);
  const draw = () => toGrid(Array.from({ length: 64 }, () => 0.125 * gaussian(random)));

  /** What the model expects. */
  const drawExpected = () =>
    Int16Array.from({ length: 64 }, (_, at) => {
      const sigma = 2 ** ((model.spectrum[at] as number) / 32);
      return Math.round((model.mean[at] as number) + sigma * gaussian(random));
    });

  it.each([
    ["a model", model, drawExpected],
    ["no model", null, draw],
  ])(
    "with %s the full vectors are nearer than the coarse ones, to within the steps",
    (_, given, own) => {
      const steps = { coarse: 224, fine: 160, level: given === null ? 350 : 0 };
      const release = randomRelease(random, 30, 64, own);
      const laid = quantiseRelease1(release, given, steps);
      const said = vectorsOf(laid, given);
      const wanted = [...release.patterns].sort((a, b) => (a.id < b.id ? -1 : 1));
      const rms = (vectors: readonly ArrayLike<number>[]) => {
        let sum = 0;
        for (const [index, { vector }] of wanted.entries()) {
          for (const [at, component] of vector.entries()) {
            sum += (component - ((vectors[index] as ArrayLike<number>)[at] as number)) ** 2;
          }
        }
        return Math.sqrt(sum / (30 * 64));
      };
      // Steps of 128 and 32: a uniform quantiser would leave 0.58 of a step of twice the width.
      expect(rms(said.coarse)).toBeLessThan(0.8 * 128);
      expect(rms(said.full)).toBeLessThan(0.8 * 32);
      expect(rms(said.full)).toBeGreaterThan(0.2 * 32);
    },
  );

  it("embeddings come back in the pattern domain, in units", () => {
    const vectors = Array.from({ length: 5 }, draw);
    const images = toSpace(model, vectors);
    let next = 0;
    const release = randomRelease(random, 5, 64, () => images[next++] as Int16Array);
    const laid = quantiseRelease1(release, model, { coarse: 160, fine: 64, level: 0 });
    const place = new Map(release.patterns.map(({ id }, index) => [id, index]));
    const { full } = vectorsOf(laid, model);
    for (const [index, embedding] of embeddingsOf(laid, model).entries()) {
      const vector = vectors[place.get(laid.patterns[index]?.id ?? "") ?? -1] as Int16Array;
      for (const [at, component] of embedding.entries()) {
        expect(Math.abs(component * GRID - (vector[at] as number))).toBeLessThan(30);
      }
      const exact = fromSpace(model, [full[index] as Int16Array])[0] as Float32Array;
      expect(embedding).toEqual(exact.map((component) => component / GRID));
    }
  });

  it("the content hash notices everything a device sees, and not the version", () => {
    const steps = { coarse: 224, fine: 160, level: 0 };
    const raw = randomRelease(random, 3, 64, draw);
    const trends = [{ id: "a", score: 7 }];
    const laid = quantiseRelease1({ ...raw, trends }, model, steps);
    const [first, ...others] = laid.patterns;
    if (first === undefined) throw new Error("there are patterns");
    const row = first.layers[1].slice();
    row[5] = (row[5] as number) + 2;
    const changed: Release1[] = [
      { ...laid, steps: { ...steps, fine: 161 } },
      { ...laid, steps: { ...steps, level: 1 } },
      { ...laid, trends: [{ id: "a", score: 8 }] },
      { ...laid, trends: [] },
      { ...laid, patterns: others },
      { ...laid, patterns: [{ ...first, id: "other" }, ...others] },
      { ...laid, patterns: [{ ...first, weight: first.weight * 2 }, ...others] },
      { ...laid, patterns: [{ ...first, devices: first.devices * 2 }, ...others] },
      { ...laid, patterns: [{ ...first, layers: [first.layers[0], row] }, ...others] },
    ];
    const hex = (release: Release1) => Buffer.from(contentHash1(release, model)).toString("hex");
    const hashes = [laid, ...changed].map(hex);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hex({ ...laid, version: 99 })).toBe(hashes[0]);
  });
});

describe("steps", () => {
  const random = seededRandom(31);
  const { model, draw } = syntheticSource(random);
  const releaseOf = (count: number, scale = 1): Release =>
    randomRelease(random, count, DIM, () => {
      const vector = draw();
      return Int16Array.from(vector, (component, at) => {
        const middle = model.mean[at] as number;
        return Math.round(middle + scale * (component * GRID - middle));
      });
    });

  it("are kept while they serve", () => {
    const before = layRelease1(releaseOf(90), model, null);
    const after = layRelease1(releaseOf(89), model, before);
    expect(after.steps).toEqual(before.steps);
  });

  it("are chosen again when the layers no longer fit, or leave too much of their frames empty", () => {
    const before = layRelease1(releaseOf(90), model, null);
    for (const count of [60, 120]) {
      const release = releaseOf(count);
      const after = layRelease1(release, model, before);
      expect(after.steps.coarse < before.steps.coarse).toBe(count < 90);
      expect(stepsServe(quantiseRelease1(release, model, before.steps), model)).toBe(false);
      expect(stepsServe(after, model)).toBe(true);
    }
  });

  it("a release whose patterns lie closer together than the model says states its own level", () => {
    const wide = chooseSteps(releaseOf(80), model);
    const narrow = chooseSteps(releaseOf(80, 0.25), model);
    expect(Math.abs(wide.level)).toBeLessThanOrEqual(4);
    expect(Math.abs(narrow.level + 64)).toBeLessThanOrEqual(4);
    expect(Math.abs(wide.coarse - narrow.coarse - 64)).toBeLessThanOrEqual(4);
  });

  it("few patterns are not told finer than is of use", () => {
    const release = layRelease1(releaseOf(2), model, null);
    const frames = downFrames1(buildLadder1("acme", release, [], model), {
      base: 0,
      applied: null,
    });
    expect(frames).toHaveLength(1);
    expect(frames[0]?.length).toBeLessThan(1_000);
    expect(stepsServe(release, model)).toBe(true);
    const next = layRelease1(releaseOf(2), model, release);
    expect(next.steps).toEqual(release.steps);
  });

  it("without patterns there are none; the first pattern chooses them", () => {
    const nothing = layRelease1(releaseOf(0), model, null);
    expect(nothing.steps).toEqual({ coarse: 0, fine: 0, level: 0 });
    expect(layRelease1(releaseOf(3), model, nothing).steps.coarse).toBeGreaterThan(0);
  });

  it("a smaller frame makes coarser steps, so that the promise holds for it too", () => {
    const release = releaseOf(60);
    const [small, large] = [2_048, 5_120].map((bytes) => chooseSteps(release, model, bytes));
    expect(small?.coarse).toBeGreaterThan(large?.coarse ?? 0);
    expect(stepsServe(layRelease1(release, model, null, 2_048), model, 2_048)).toBe(true);
  });
});
