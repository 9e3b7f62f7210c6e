import { describe, expect, it } from "vitest";
import { learnKlt, variancesIn } from "../../bench/codec/klt.ts";
import { iidSet, SYNTHETIC_DIM, syntheticSet, syntheticSpectrum } from "../../bench/codec/sets.ts";

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
    const klt = learnKlt(synthetic.train.subarray(0, 600 * SYNTHETIC_DIM), SYNTHETIC_DIM);
    const meanEnergy = klt.mean.reduce((sum, x) => sum + x * x, 0);
    expect(meanEnergy).toBeGreaterThan(0.13);
    expect(meanEnergy).toBeLessThan(0.19);
    const leading = klt.variances.slice(0, 20).reduce((a, b) => a + b);
    const wanted = syntheticSpectrum()
      .slice(0, 20)
      .reduce((a, b) => a + b);
    expect(leading / wanted).toBeGreaterThan(0.85);
    expect(leading / wanted).toBeLessThan(1.35);
  });
});

describe("bench: the transform", () => {
  it("bench: its rows are orthonormal and its variances are those of the data", () => {
    const dim = 24;
    const { train } = iidSet({ train: 300, test: 0, query: 0 }, 11, dim);
    for (let at = 0; at < train.length; at += 1) {
      train[at] = (train[at] as number) * (1 + (at % dim)) + 0.5;
    }
    const klt = learnKlt(train, dim);
    for (let a = 0; a < dim; a += 1) {
      for (let b = 0; b <= a; b += 1) {
        let dot = 0;
        for (let j = 0; j < dim; j += 1) {
          dot += (klt.basis[a * dim + j] as number) * (klt.basis[b * dim + j] as number);
        }
        expect(dot).toBeCloseTo(a === b ? 1 : 0, 6);
      }
    }
    const measured = variancesIn(klt, train);
    for (let i = 0; i < dim; i += 1) {
      expect((measured[i] as number) / (klt.variances[i] as number)).toBeCloseTo(1, 4);
    }
  });

  it("bench: data that does not fill its space still gets a basis", () => {
    const dim = 12;
    const flat = new Float32Array(50 * dim);
    for (let row = 0; row < 50; row += 1) flat[row * dim] = Math.sin(row);
    const klt = learnKlt(flat, dim);
    expect(klt.variances[0]).toBeGreaterThan(0.1);
    expect(klt.basis.every(Number.isFinite)).toBe(true);
    expect(variancesIn(klt, flat)[1]).toBeLessThan(1e-9);
  });
});
