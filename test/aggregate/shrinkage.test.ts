import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shrink } from "../../src/aggregate/shrinkage.ts";

function expectClose(values: Float64Array, published: readonly number[]): void {
  expect([...values].map((value) => value.toFixed(4))).toEqual(
    published.map((value) => value.toFixed(4)),
  );
}

describe("nonlinear shrinkage", () => {
  // Figures of ports of the authors' formulas, made falling by the min-max formula.
  const few = Float64Array.of(900, 400, 250, 160, 100, 64, 40, 25);

  it("gives the published figures when there are more vectors than dimensions", () => {
    expectClose(
      shrink(few, 20),
      [709.2967, 339.7556, 255.5517, 196.6959, 144.6904, 114.3457, 91.6522, 87.0118],
    );
  });

  it("gives the published figures when there are fewer", () => {
    const present = [900, 700, 500, 400, 300, 250, 200, 160, 130, 100, 80, 60, 45, 30, 20];
    expectClose(shrink(Float64Array.from([...present, ...new Array(9).fill(0.5)]), 16), [
      ...[394.2882, 367.1037, 280.7685, 251.5328, 197.1495, 179.658, 168.3764, 152.7821],
      ...[145.8991, 133.11, 124.0077, 119.1478, ...new Array(12).fill(113.8063)],
    ]);
  });

  it("is linear when there are about as many", () => {
    expectClose(
      shrink(few, 9),
      [332.328, 263.9357, 243.418, 231.1074, 222.9003, 217.976, 214.6932, 212.6415],
    );
  });

  it("keeps what all dimensions vary together", () => {
    for (const count of [4, 9, 20, 500]) {
      const total = shrink(few, count).reduce((sum, variance) => sum + variance, 0);
      expect(total).toBeCloseTo(1939, 6);
    }
  });

  it("expects variances that are finite, above zero and falling, whatever the sample says", () => {
    const anySpectrum = fc
      .array(fc.double({ min: 1 / 12, max: 1e9, noNaN: true }), { minLength: 8, maxLength: 60 })
      .map((values) => Float64Array.from(values).sort().reverse());
    fc.assert(
      fc.property(anySpectrum, fc.integer({ min: 2, max: 5000 }), (spectrum, count) => {
        const expected = shrink(spectrum, count);
        expect(expected).toHaveLength(spectrum.length);
        for (const [at, variance] of expected.entries()) {
          expect(Number.isFinite(variance) && variance > 0).toBe(true);
          if (at > 0) expect(variance).toBeLessThanOrEqual(expected[at - 1] as number);
        }
      }),
    );
  });

  it("leaves the variances of a large sample almost alone", () => {
    const spectrum = Float64Array.from({ length: 16 }, (_, at) => 1000 / (at + 1) ** 2);
    for (const [at, variance] of shrink(spectrum, 1_000_000).entries()) {
      expect(variance / (spectrum[at] as number)).toBeCloseTo(1, 2);
    }
  });
});
