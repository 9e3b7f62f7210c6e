import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelOf, trainCodec, trainModel } from "../../src/aggregate/codec-training.ts";
import { Moments } from "../../src/aggregate/moments.ts";
import {
  type CodecModel,
  decodeModel,
  encodeModel,
  type GridVector,
  toSpace,
} from "../../src/wire/index.ts";
import { reasonOf } from "../support/reason.ts";
import { anyVector } from "../wire/arbitraries.ts";
import { departure, dot, heldModel, rowOf } from "../wire/codec1/models.ts";
import { drawn, population } from "./embeddings.ts";

const POPULATION = population(32);

/** What every peer holds of a model learnt from `samples`. */
function held(samples: readonly GridVector[], dim: number, version = 1): CodecModel {
  return decodeModel(encodeModel(trainModel(samples, version, dim)));
}

/** The true over the believed variance of each coordinate of `model`, on vectors it has not seen. */
function surprises(model: CodecModel, fresh: readonly GridVector[]): number[] {
  const sums = new Array<number>(model.dim).fill(0);
  for (const image of toSpace(model, fresh)) {
    for (const [at, component] of image.entries()) {
      sums[at] = (sums[at] as number) + (component - (model.mean[at] as number)) ** 2;
    }
  }
  return sums.map((sum, at) => sum / fresh.length / 2 ** ((model.spectrum[at] as number) / 16));
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

describe("learning a codec model", () => {
  it("finds the directions in which patterns vary, the widest first", () => {
    const model = held(drawn(POPULATION, 4000, 1), 32);
    for (let row = 0; row < 4; row += 1) {
      const truth = POPULATION.basis.subarray(row * 32, (row + 1) * 32);
      expect(Math.abs(dot(rowOf(model, row), truth))).toBeGreaterThan(0.95);
    }
    expect([...model.spectrum]).toEqual([...model.spectrum].sort((a, b) => b - a));
  });

  it.each([[4000], [64], [33], [32], [20]])(
    "from %d patterns of 32 dimensions believes variances that new patterns have",
    (count) => {
      const model = held(drawn(POPULATION, count, 2), 32);
      const ratios = surprises(model, drawn(POPULATION, 3000, 3));
      const off = geometricMean(ratios);
      expect(off).toBeGreaterThan(0.75);
      expect(off).toBeLessThan(1.35);
      // Plain sample variances fail here by orders of magnitude in the tail.
      for (const ratio of ratios) expect(ratio).toBeLessThan(4);
    },
  );

  it("measures the mean along the basis that peers will hold", () => {
    const samples = drawn(POPULATION, 200, 4);
    const model = held(samples, 32);
    const moments = new Moments(32);
    for (const sample of samples) moments.add(sample);
    for (let row = 0; row < 32; row += 1) {
      expect(model.mean[row]).toBe(Math.round(dot(rowOf(model, row), moments.mean())));
    }
  });

  it("gives the same bytes again, for the samples in any order, and from merged moments", () => {
    const samples = drawn(POPULATION, 60, 5);
    const bytes = encodeModel(trainModel(samples, 9, 32));
    expect(encodeModel(trainModel([...samples].reverse(), 9, 32))).toEqual(bytes);
    const [first, second] = [new Moments(32), new Moments(32)];
    for (const [index, sample] of samples.entries()) (index % 3 ? first : second).add(sample);
    first.merge(second);
    expect(encodeModel(modelOf(first, 9))).toEqual(bytes);
  });

  it("gives every component the sign that makes its largest entry positive", () => {
    const { basis } = trainModel(drawn(POPULATION, 100, 6), 1, 32);
    for (let row = 0; row < 32; row += 1) {
      const entries = basis.subarray(row * 32, (row + 1) * 32);
      expect(Math.max(...entries)).toBe(Math.max(...entries.map(Math.abs)));
    }
  });

  it("from patterns that are all equal takes them for the mean, and expects nothing else", () => {
    const pattern = Int16Array.from({ length: 12 }, (_, at) => 300 * at - 1000);
    const model = held(new Array<GridVector>(40).fill(pattern), 12);
    expect(toSpace(model, [pattern])).toEqual([model.mean]);
    expect(model.spectrum).toEqual(new Int16Array(12));
    expect(departure(model)).toBeLessThan(1e-6);
  });

  it("from any patterns makes a model that can be published", () => {
    const anySamples = fc
      .integer({ min: 8, max: 24 })
      .chain((dim) => fc.array(anyVector(dim), { minLength: 16, maxLength: 50 }));
    fc.assert(
      fc.property(anySamples, (samples) => {
        const model = held(samples, (samples[0] as GridVector).length, 65535);
        expect(model.version).toBe(65535);
        expect(departure(model)).toBeLessThan(1e-6);
      }),
    );
  });

  it("refuses what it cannot learn from", () => {
    const some = (count: number, dim: number) =>
      Array.from({ length: count }, () => new Int16Array(dim).fill(5));
    expect(reasonOf(() => trainModel(some(15, 8), 1, 8))).toBe("model.samples");
    expect(reasonOf(() => trainModel(some(16, 7), 1, 7))).toBe("model.dim");
    expect(reasonOf(() => trainModel(some(16, 1025), 1, 1025))).toBe("model.dim");
    expect(reasonOf(() => trainModel(some(16, 8), 0, 8))).toBe("model.version");
    expect(reasonOf(() => trainModel(some(16, 8), 65536, 8))).toBe("model.version");
    expect(reasonOf(() => trainModel(some(16, 8), 1.5, 8))).toBe("model.version");
  });
});

describe("a model ready to be published", () => {
  it("comes with what peers make of its bytes, and an honest gain", () => {
    const samples = drawn(POPULATION, 800, 7);
    const { bytes, model, gainDb, currentGainDb } = trainCodec(samples, 2, 32, null);
    expect(decodeModel(bytes)).toEqual(model);
    expect(model.version).toBe(2);
    expect(gainDb).toBeGreaterThan(2);
    expect(currentGainDb).toBeNull();
  });

  it("needs 16 patterns to learn from and three more to judge it", () => {
    const samples = drawn(POPULATION, 19, 10);
    expect(trainCodec(samples, 2, 32, null).model.dim).toBe(32);
    expect(reasonOf(() => trainCodec(samples.slice(1), 2, 32, null))).toBe("model.samples");
  });

  it("is compared with the model in use on patterns that neither has seen", () => {
    const samples = drawn(POPULATION, 800, 8);
    const unrelated = trainCodec(samples, 2, 32, heldModel(32));
    expect(unrelated.currentGainDb).toBeLessThan(unrelated.gainDb - 1);
    const again = trainCodec(drawn(POPULATION, 800, 9), 3, 32, unrelated.model);
    expect(Math.abs(again.gainDb - (again.currentGainDb ?? 0))).toBeLessThan(0.3);
  });
});
