import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  fromGrid,
  GRID,
  normWithin,
  reconstruct,
  residualOf,
  toGrid,
} from "../../src/wire/index.ts";
import { reasonOf } from "../support/reason.ts";
import { anyVector } from "./arbitraries.ts";

const float = fc.double({ min: -1e300, max: 1e300, noNaN: true });

describe("grid", () => {
  it("an embedding within the unit ball moves by at most half a grid step", () => {
    const component = fc.double({ min: -0.3, max: 0.3, noNaN: true });
    fc.assert(
      fc.property(fc.array(component, { minLength: 8, maxLength: 10 }), (embedding) => {
        fc.pre(embedding.some((value) => Math.abs(value) > 0.01));
        const back = fromGrid(toGrid(embedding));
        for (const [index, value] of embedding.entries()) {
          expect(Math.abs((back[index] ?? 0) - value)).toBeLessThanOrEqual(0.5 / GRID + 1e-12);
        }
      }),
    );
  });

  it("THREATS 21: any finite embedding comes out within the norm bound, or is refused by name", () => {
    fc.assert(
      fc.property(fc.array(float, { minLength: 8, maxLength: 20 }), (embedding) => {
        const reason = reasonOf(() => {
          expect(normWithin(toGrid(embedding))).toBe(true);
        });
        expect([null, "pattern.zero"]).toContain(reason);
      }),
    );
  });

  it.each([
    ["too few components", new Array(7).fill(0.1), "pattern.dimension"],
    ["too many components", new Array(4097).fill(0.1), "pattern.dimension"],
    ["NaN", [...new Array(8).fill(0.1), Number.NaN], "pattern.not-finite"],
    ["infinity", [...new Array(8).fill(0.1), Number.POSITIVE_INFINITY], "pattern.not-finite"],
    ["all zeros", new Array(8).fill(0), "pattern.zero"],
    ["nothing that survives rounding", new Array(8).fill(1e-9), "pattern.zero"],
  ])("%s is refused", (_what, embedding, reason) => {
    expect(reasonOf(() => toGrid(embedding))).toBe(reason);
  });

  it("a norm above 1 is scaled down to 1, below 1 is left alone", () => {
    const long = fromGrid(toGrid(new Array(16).fill(1e38)));
    expect(long[0]).toBeCloseTo(0.25, 4);
    const short = fromGrid(toGrid([0.5, ...new Array(15).fill(0)]));
    expect(short[0]).toBe(0.5);
  });

  it("a reference plus the exact residual is the target", () => {
    fc.assert(
      fc.property(anyVector(12), anyVector(12), (target, reference) => {
        expect(reconstruct(reference, residualOf(target, reference))).toEqual(target);
        expect(reconstruct(null, residualOf(target, null))).toEqual(target);
        expect(reconstruct(null, target)).toBe(target);
      }),
    );
  });

  it("reconstruction saturates instead of wrapping round", () => {
    const reference = Int16Array.from([32000, -32000]);
    expect(reconstruct(reference, Int32Array.from([5000, -5000]))).toEqual(
      Int16Array.from([32767, -32768]),
    );
  });

  it("a claimed norm above 1.05 is noticed", () => {
    expect(normWithin(Int16Array.from([Math.floor(1.05 * GRID), 0]))).toBe(true);
    expect(normWithin(Int16Array.from([Math.ceil(1.05 * GRID) + 1, 0]))).toBe(false);
    expect(normWithin(new Int16Array(4096).fill(-32768))).toBe(false);
    expect(normWithin(Int16Array.from([1.5 * GRID, 0]), "unbiased")).toBe(true);
    expect(normWithin(Int16Array.from([1.5 * GRID, 200]), "unbiased")).toBe(false);
  });
});
