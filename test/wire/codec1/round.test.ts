import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gridVectorAt, roundInto } from "../../../src/wire/codec1/round.ts";

/** As the protocol words it. */
function nearest(x: number): number {
  const floor = Math.floor(x);
  const rounded = x - floor >= 0.5 ? floor + 1 : floor;
  return Math.min(131_071, Math.max(-131_071, rounded));
}

function rounded(numbers: readonly number[]): number[] {
  const residual = new Int32Array(numbers.length);
  roundInto(residual, Float64Array.from([9, ...numbers]), 1);
  return [...residual];
}

describe("roundInto", () => {
  it("rounds to the nearest integer, halves up", () => {
    expect(rounded([0, 0.5, 1.5, -0.5, -1.5, 0.4, 0.6, -0.4, -0.6])).toEqual([
      0, 1, 2, 0, -1, 0, 1, 0, -1,
    ]);
  });

  it("takes the double before a half down, and those around zero to zero", () => {
    expect(rounded([0.49999999999999994, -0.5000000000000001, -(2 ** -60), 2 ** -60])).toEqual([
      0, -1, 0, 0,
    ]);
  });

  it("clamps what is too large", () => {
    expect(rounded([131_071.4, 131_071.5, 1e300, -131_071.6, -1e300])).toEqual([
      131_071, 131_071, 131_071, -131_071, -131_071,
    ]);
  });

  it("is what the protocol says of any number", () => {
    const half = fc.integer({ min: -(2 ** 18), max: 2 ** 18 }).map((twice) => twice / 2);
    const near = fc.tuple(half, fc.double({ min: -1e-9, max: 1e-9, noNaN: true }));
    const number = fc.oneof(
      fc.double({ min: -2e5, max: 2e5, noNaN: true }),
      half,
      near.map(([at, off]) => at + off),
    );
    fc.assert(
      fc.property(fc.array(number, { maxLength: 40 }), (numbers) => {
        expect(rounded(numbers)).toEqual(numbers.map((x) => nearest(x) + 0));
      }),
      { numRuns: 500 },
    );
  });
});

it("gridVectorAt: rounds likewise, and stops at the ends of an int16", () => {
  const numbers = Float64Array.from([9, 0.5, -0.5, -1.5, 32_767.5, 1e9, -32_768.5, -1e9, 9]);
  expect([...gridVectorAt(numbers, 1, 7)]).toEqual([1, 0, -1, 32_767, 32_767, -32_768, -32_768]);
});
