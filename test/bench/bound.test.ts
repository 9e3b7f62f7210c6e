import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gapDb, limitOf, waterFilling, whiteLimit } from "../../bench/codec/bound.ts";

const variances = fc
  .array(fc.double({ min: 1e-6, max: 1, noNaN: true }), { minLength: 2, maxLength: 60 })
  .map((values) => Float64Array.from(values));

describe("bench: the rate–distortion limit", () => {
  it("bench: at no rate the error is the variance", () => {
    expect(waterFilling(Float64Array.of(3, 2, 1), 0)).toBeCloseTo(6, 9);
  });

  it("bench: one component follows 2^(−2R)", () => {
    for (const bits of [0.5, 1, 2, 7]) {
      expect(waterFilling(Float64Array.of(5), bits)).toBeCloseTo(5 * 2 ** (-2 * bits), 9);
    }
  });

  it("bench: equal components share the rate, which is the closed form of a white source", () => {
    const white = new Float64Array(384).fill(1 / 384);
    for (const bits of [96, 384, 680]) {
      expect(waterFilling(white, bits)).toBeCloseTo(whiteLimit(bits / 384), 9);
    }
  });

  it("bench: the first bits go to the larger component alone, later ones to both", () => {
    const two = Float64Array.of(16, 1);
    // Until the water stands at 1, two bits from 16, the small component gets nothing.
    expect(waterFilling(two, 1)).toBeCloseTo(4 + 1, 9);
    expect(waterFilling(two, 2)).toBeCloseTo(1 + 1, 9);
    // Then both: one bit more is half a bit each.
    expect(waterFilling(two, 3)).toBeCloseTo(0.5 + 0.5, 9);
  });

  it("bench: components that never move cost nothing", () => {
    expect(waterFilling(Float64Array.of(4, 0, 0), 1)).toBeCloseTo(1, 9);
    expect(waterFilling(Float64Array.of(0, 0), 10)).toBe(0);
  });

  it("bench: more rate never means more error, and no code beats the geometric mean", () => {
    fc.assert(
      fc.property(variances, fc.double({ min: 0, max: 40, noNaN: true }), (v, bits) => {
        const error = waterFilling(v, bits);
        expect(waterFilling(v, bits + 1)).toBeLessThanOrEqual(error * (1 + 1e-9));
        const logMean = v.reduce((sum, variance) => sum + Math.log2(variance), 0) / v.length;
        const lower = v.length * 2 ** (logMean - (2 * bits) / v.length);
        expect(error).toBeGreaterThanOrEqual(lower * (1 - 1e-9));
      }),
    );
  });

  it("bench: a limit is relative to the variance of its set", () => {
    const coloured = limitOf(Float64Array.of(0.6, 0.2), false);
    expect(coloured.energy).toBeCloseTo(0.8, 12);
    expect(coloured.nmseAt(0)).toBeCloseTo(1, 9);
    expect(limitOf(Float64Array.of(0.6, 0.2), true).nmseAt(2)).toBeCloseTo(0.25, 12);
  });

  it("bench: a gap is in decibels, and there is none without an error", () => {
    expect(gapDb(0.2, 0.1)).toBeCloseTo(3.0103, 4);
    expect(gapDb(0.1, 0.1)).toBe(0);
    expect(gapDb(0, 0.1)).toBeNull();
  });
});
