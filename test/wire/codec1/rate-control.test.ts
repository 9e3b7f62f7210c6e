import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeIndices, dequantise } from "../../../src/wire/codec1/block.ts";
import { fitBlock } from "../../../src/wire/codec1/rate-control.ts";
import { distortionOf, drawBlock, FALLING, FLAT, planOf } from "./spectra.ts";

const { step: _step, ...STEPLESS } = planOf(FALLING, 10);

const anyValue = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -300, max: 300 }) },
  { weight: 1, arbitrary: fc.double({ min: -1e7, max: 1e7, noNaN: true }) },
);

describe("codec 1: rate control", () => {
  it("keeps any budget, or says that nothing fits", () => {
    const anyInput = fc.record({
      values: fc.array(anyValue, { minLength: 24, maxLength: 24 }),
      bytesMax: fc.integer({ min: 0, max: 120 }),
      gain: fc.boolean(),
      kind: fc.constantFrom("absolute" as const, "difference" as const),
    });
    fc.assert(
      fc.property(anyInput, ({ values, bytesMax, gain, kind }) => {
        const plan = { ...STEPLESS, dim: 8, spectrum: new Int16Array(8).fill(200), gain };
        const block = Float64Array.from(values);
        const limits = { bytesMax, distortionEnough: 0 };
        const fitted = fitBlock(block, { ...plan, kinds: [kind, kind, kind] }, limits);
        if (fitted === null) {
          expect(bytesMax).toBeLessThan(6);
          return;
        }
        expect(fitted.bytes.length).toBeLessThanOrEqual(bytesMax);
        expect(decodeIndices(fitted.bytes, fitted.plan)).toEqual(fitted.indices);
      }),
      { numRuns: 200 },
    );
  });

  it("leaves no more than four bytes and one in fifty unspent", () => {
    // Below half a bit per number, a flat spectrum's bits are a cliff and there is less choice.
    for (const [variances, gain, budgets] of [
      [FLAT, true, [600, 1200, 2400]],
      [FALLING, false, [150, 300, 600, 1200, 2400]],
    ] as const) {
      for (const bytesMax of budgets) {
        const block = drawBlock(variances, 10, bytesMax);
        const plan = { ...planOf(variances, 10), gain };
        const fitted = fitBlock(block, plan, { bytesMax, distortionEnough: 0 });
        expect(fitted?.bytes.length).toBeGreaterThan(bytesMax * 0.98 - 5);
      }
    }
  });

  it("stops at the distortion that is enough", () => {
    const block = drawBlock(FALLING, 10, 6);
    const energy = distortionOf(block, new Float64Array(block.length));
    const limits = { bytesMax: 3000, distortionEnough: energy / 20 };
    const fitted = fitBlock(block, STEPLESS, limits);
    if (fitted === null) throw new Error("3,000 bytes are enough");
    const distortion = distortionOf(block, dequantise(fitted.indices, fitted.plan));
    expect(distortion).toBeLessThan(limits.distortionEnough);
    expect(distortion).toBeGreaterThan(limits.distortionEnough * 0.8);
    expect(fitted.bytes.length).toBeLessThan(900);
  });
});
