import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram, histogramOf } from "../../../src/fleet/load/histogram.ts";

/** Milliseconds, from microseconds to an hour. */
const anyMs = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((micros) => micros / 1_000);
const anyMany = fc.array(anyMs, { minLength: 1, maxLength: 200 });
const anyShare = fc.constantFrom(0.01, 0.5, 0.9, 0.99, 0.999, 1);

function of(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

function exact(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

describe("load histogram", () => {
  it("a quantile is never below the true one, nor more than 1/64 above it", () => {
    fc.assert(
      fc.property(anyMany, anyShare, (values, share) => {
        const truth = exact(values, share);
        const told = of(values).quantile(share);
        expect(told).toBeGreaterThanOrEqual(truth - 1e-9);
        expect(told).toBeLessThanOrEqual(truth * (1 + 1 / 64) + 1e-9);
      }),
    );
  });

  it("histograms put together are the histogram of everything, after a way through JSON too", () => {
    fc.assert(
      fc.property(anyMany, anyMany, (a, b) => {
        const sent = JSON.parse(JSON.stringify([of(a).data(), of(b).data()]));
        expect(histogramOf(sent).data()).toEqual(of([...a, ...b]).data());
        expect(histogramOf(sent).count).toBe(a.length + b.length);
      }),
    );
  });

  it("the maximum is exact and every sample counts, beyond the last bucket too", () => {
    const histogram = of([0.06, -1, 2 ** 40]);
    expect(histogram.quantiles()).toMatchObject({ count: 3, max: 2 ** 40, p50: 0.06 });
  });

  it("octaves hold every sample between their two powers of two", () => {
    fc.assert(
      fc.property(anyMany, (values) => {
        const inOctave = (k: number) =>
          values.filter((ms) => {
            const micros = Math.round(ms * 1_000);
            return micros < 2 ** k && micros >= (k === 0 ? 0 : 2 ** (k - 1));
          }).length;
        const octaves = of(values).octaves();
        for (const [k, count] of octaves) expect(count, `octave ${k}`).toBe(inOctave(k));
        expect(octaves.reduce((sum, [, count]) => sum + count, 0)).toBe(values.length);
      }),
    );
  });

  it("an empty one has only zeros, and so has a cleared one", () => {
    const cleared = of([5, 6]);
    cleared.clear();
    const nothing = { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
    expect(cleared.quantiles()).toEqual(nothing);
    expect(new Histogram().quantiles()).toEqual(nothing);
  });
});
