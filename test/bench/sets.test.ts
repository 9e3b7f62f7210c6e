import { describe, expect, it } from "vitest";
import { learnFrom, meanOf, variancesAlong } from "../../bench/codec/knowledge.ts";
import { iidSet, syntheticSet, syntheticSpectrum } from "../../bench/codec/sets.ts";

const sizes = { train: 600, test: 40, query: 20 };

function norms(vectors: Float32Array, dim: number): number[] {
  return Array.from({ length: vectors.length / dim }, (_, row) =>
    Math.sqrt(vectors.subarray(row * dim, (row + 1) * dim).reduce((sum, x) => sum + x * x, 0)),
  );
}

describe("bench: the sets", () => {
  const synthetic = syntheticSet(sizes, 5);

  it("bench: a seed makes the same set, another seed another", () => {
    expect(iidSet(sizes, 1, 16)).toEqual(iidSet(sizes, 1, 16));
    expect(iidSet(sizes, 1, 16).test).not.toEqual(iidSet(sizes, 2, 16).test);
  });

  it("bench: all vectors have unit length, and no part repeats another", () => {
    for (const set of [iidSet(sizes, 3), synthetic]) {
      const { dim, train, test, query } = set;
      for (const norm of norms(test, dim)) expect(norm).toBeCloseTo(1, 5);
      const firsts = [train, test, query].flatMap((part) =>
        Array.from({ length: part.length / dim }, (_, row) => part[row * dim]),
      );
      expect(new Set(firsts).size).toBeGreaterThan(0.98 * firsts.length);
    }
  });

  it("bench: the synthetic spectrum falls, and with the mean's energy makes 1", () => {
    const spectrum = syntheticSpectrum();
    expect(spectrum.reduce((a, b) => a + b)).toBeCloseTo(0.845, 12);
    expect(spectrum.every((value, i) => i === 0 || value < (spectrum[i - 1] as number))).toBe(true);
    const ratio = (spectrum[0] as number) / (spectrum[383] as number);
    const formula = (4 / 387) ** -0.69 / Math.exp(-((383 / 220) ** 2.43));
    expect(ratio).toBeCloseTo(formula, 6);
  });

  it("bench: synthetic vectors have about the mean and the leading variances of the model", () => {
    const { train, dim } = synthetic;
    const { mean, model } = learnFrom(train, dim);
    const meanEnergy = mean.reduce((sum, x) => sum + x * x, 0);
    expect(meanEnergy).toBeGreaterThan(0.13);
    expect(meanEnergy).toBeLessThan(0.19);
    const variances = variancesAlong(model?.basis ?? new Float32Array(dim * dim), mean, train);
    const sum = (values: Float64Array) => values.reduce((a, b) => a + b);
    const ratio = sum(variances.slice(0, 20)) / sum(syntheticSpectrum().slice(0, 20));
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.35);
  });

  it("bench: a model of coloured vectors is worth its bytes, one of white noise is not", () => {
    expect(learnFrom(synthetic.train, synthetic.dim).worthIt).toBe(true);
    expect(learnFrom(iidSet({ ...sizes, train: 1500 }, 8, 64).train, 64).worthIt).toBe(false);
  });

  it("bench: above 1,024 dimensions there is a mean and no model", () => {
    const dim = 1025;
    const { train } = iidSet({ train: 20, test: 0, query: 0 }, 2, dim);
    expect(learnFrom(train, dim)).toEqual({
      mean: meanOf(train, dim),
      model: null,
      worthIt: false,
    });
  });

  it("bench: variances are about the mean, along the rows of the basis", () => {
    const turned = Float32Array.of(0.6, 0.8, -0.8, 0.6);
    const vectors = Float32Array.of(1, 1, 1.6, 1.8, 0.4, 0.2);
    const [along, across] = variancesAlong(turned, Float64Array.of(1, 1), vectors);
    expect(along).toBeCloseTo(2 / 3, 6);
    expect(across).toBeCloseTo(0, 6);
  });
});
