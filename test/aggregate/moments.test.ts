import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Moments } from "../../src/aggregate/moments.ts";
import type { GridVector } from "../../src/wire/index.ts";
import { anyVector } from "../wire/arbitraries.ts";

const DIM = 9;
const anyVectors = fc.array(anyVector(DIM), { minLength: 2, maxLength: 30 });

function momentsOf(vectors: readonly GridVector[]): Moments {
  const moments = new Moments(DIM);
  for (const vector of vectors) moments.add(vector);
  return moments;
}

function results(moments: Moments) {
  return { count: moments.count, mean: moments.mean(), covariance: moments.covariance() };
}

describe("streaming moments", () => {
  it("are the mean and the covariance of what was added", () => {
    fc.assert(
      fc.property(anyVectors, (vectors) => {
        const { mean, covariance } = results(momentsOf(vectors));
        const count = vectors.length;
        for (let i = 0; i < DIM; i += 1) {
          const meanOf = (at: number) =>
            vectors.reduce((sum, vector) => sum + (vector[at] as number), 0) / count;
          expect(mean[i]).toBeCloseTo(meanOf(i), 6);
          for (let j = 0; j < DIM; j += 1) {
            const around = vectors.reduce(
              (sum, vector) =>
                sum + ((vector[i] as number) - meanOf(i)) * ((vector[j] as number) - meanOf(j)),
              0,
            );
            const expected = around / (count - 1);
            expect(Math.abs((covariance[i * DIM + j] as number) - expected)).toBeLessThan(1e-3);
          }
        }
      }),
    );
  });

  it("P4: do not depend, in one bit, on the order of adding or on what was merged", () => {
    fc.assert(
      fc.property(anyVectors, fc.nat(30), (vectors, cut) => {
        const whole = results(momentsOf(vectors));
        const merged = momentsOf(vectors.slice(cut));
        merged.merge(momentsOf(vectors.slice(0, cut)));
        expect(results(merged)).toEqual(whole);
        expect(results(momentsOf([...vectors].reverse()))).toEqual(whole);
      }),
    );
  });

  it("refuse a vector of another dimension and a mean of nothing as bugs", () => {
    expect(() => momentsOf([]).mean()).toThrow("mean of");
    expect(() => momentsOf([new Int16Array(DIM)]).covariance()).toThrow("two vectors");
    expect(() => momentsOf([new Int16Array(DIM + 1)])).toThrow("one dimension");
    expect(() => new Moments(8).merge(new Moments(9))).toThrow("one dimension");
  });
});
