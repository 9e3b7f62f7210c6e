import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paddedLength, rotate, rotateBack } from "../../../src/wire/codec1/rotation.ts";
import { seedOf } from "../../../src/wire/codec1/seed.ts";

const LENGTHS = [8, 12, 16, 20, 24, 40, 48, 64, 160, 384, 640, 1024, 4096];
const anySeed = fc.integer({ min: 0, max: 2 ** 32 - 1 });

function anyInput(length: number): fc.Arbitrary<Float64Array> {
  const component = fc.integer({ min: -65535, max: 65535 });
  return fc
    .array(component, { minLength: length, maxLength: length })
    .map((values) => Float64Array.from(values));
}

const anyRotation = fc
  .tuple(fc.constantFrom(8, 12, 20, 48, 384), anySeed)
  .chain(([length, seed]) => anyInput(length).map((input) => ({ length, seed, input })));

function energyOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

describe("the seeded rotation", () => {
  it.each(LENGTHS)("its rows at length %d are orthonormal", (length) => {
    const columns = Array.from({ length: Math.min(length, 48) }, (_, at) => {
      const column = new Float64Array(length);
      column[at] = 1;
      rotate(column, 0, length, 7);
      return column;
    });
    for (const [i, a] of columns.entries()) {
      for (const [j, b] of columns.entries()) {
        const product = a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
        expect(product).toBeCloseTo(i === j ? 1 : 0, 12);
      }
    }
  });

  it("turns back to where it came from, within rounding", () => {
    fc.assert(
      fc.property(anyRotation, ({ length, seed, input }) => {
        const turned = Float64Array.from(input);
        rotate(turned, 0, length, seed);
        rotateBack(turned, 0, length, seed);
        for (const [at, value] of turned.entries()) {
          expect(Math.abs(value - (input[at] as number))).toBeLessThan(1e-9);
        }
      }),
    );
  });

  it("keeps the norm", () => {
    fc.assert(
      fc.property(anyRotation, ({ length, seed, input }) => {
        const turned = Float64Array.from(input);
        rotate(turned, 0, length, seed);
        const energy = energyOf(input);
        expect(Math.abs(energyOf(turned) - energy)).toBeLessThanOrEqual(energy * 1e-12);
      }),
    );
  });

  it("spreads a lone component evenly over all coefficients", () => {
    const values = new Float64Array(384);
    values[137] = 16384;
    rotate(values, 0, 384, 99);
    const size = 16384 / Math.sqrt(384);
    for (const value of values) expect(Math.abs(value)).toBeCloseTo(size, 9);
  });

  it("touches only the vector it was given, wherever that lies in the buffer", () => {
    const alone = Float64Array.from({ length: 48 }, (_, at) => at * at - 300);
    const buffer = new Float64Array(48 * 3).fill(5);
    buffer.set(alone, 48);
    rotate(alone, 0, 48, 3);
    rotate(buffer, 48, 48, 3);
    expect(buffer.slice(48, 96)).toEqual(alone);
    expect(buffer.slice(0, 48)).toEqual(new Float64Array(48).fill(5));
    expect(buffer.slice(96)).toEqual(new Float64Array(48).fill(5));
  });

  it("another seed is another rotation", () => {
    const [a, b] = [1, 2].map((seed) => {
      const values = Float64Array.from({ length: 384 }, (_, at) => (at % 7) - 3);
      rotate(values, 0, 384, seed);
      return values;
    });
    expect(a).not.toEqual(b);
  });

  it("gives the bits that are frozen in the protocol", () => {
    const values = Float64Array.of(1000, -2, 3, 0, 0, 500, 0, 0, -7, 0, 0, 1);
    rotate(values, 0, 12, 0xdeadbeef);
    expect([...values]).toMatchInlineSnapshot(`
      [
        -146.35829323957014,
        434.4560775651934,
        433.87872729600383,
        143.47154189362203,
        429.2599251424868,
        430.9919759500557,
        146.93564350875977,
        432.7240267576246,
        142.31684135524276,
        145.78094297038052,
        141.1621408168635,
        436.765478641952,
      ]
    `);
  });

  it("pads to the next length that has a matrix, never by more than a third", () => {
    expect(
      [8, 9, 13, 17, 21, 25, 33, 100, 300, 384, 385, 768, 1000, 1100].map(paddedLength),
    ).toEqual([8, 12, 16, 20, 24, 32, 40, 128, 320, 384, 512, 768, 1024, 1280]);
    for (let dim = 8; dim <= 4096; dim += 1) {
      const length = paddedLength(dim);
      expect(length).toBeGreaterThanOrEqual(dim);
      expect(length).toBeLessThanOrEqual(Math.ceil((dim * 4) / 3) + 3);
    }
  });

  it("refuses a length without a matrix as the bug it is", () => {
    expect(() => rotate(new Float64Array(36), 0, 36, 1)).toThrow("padded length");
    expect(() => rotate(new Float64Array(8), 1, 8, 1)).toThrow("inside the buffer");
  });
});

describe("seeds", () => {
  it("are frozen in the protocol", () => {
    expect(seedOf("default/tv-1", 1, 1, 0).toString(16)).toMatchInlineSnapshot(`"fccc21fe"`);
    expect(seedOf("a/b", 2 ** 48 - 1, 2 ** 40 + 7, 255).toString(16)).toMatchInlineSnapshot(
      `"4693a774"`,
    );
    expect(seedOf("", 0, 0, 0).toString(16)).toMatchInlineSnapshot(`"c85d0dc8"`);
  });

  it("differ between neighbours in every argument", () => {
    const seeds = new Set<number>();
    for (const sender of ["t/a", "t/b"]) {
      for (const epoch of [1, 2, 2 ** 32 + 1]) {
        for (const seq of [1, 2, 2 ** 32 + 1]) {
          for (let index = 0; index < 64; index += 1) seeds.add(seedOf(sender, epoch, seq, index));
        }
      }
    }
    expect(seeds.size).toBe(2 * 3 * 3 * 64);
  });

  it("have bits that are set half of the time", () => {
    const count = 4096;
    for (let bit = 0; bit < 32; bit += 1) {
      let set = 0;
      for (let index = 0; index < count; index += 1) {
        set += (seedOf("t/d", 5, 9, index) >>> bit) & 1;
      }
      expect(Math.abs(set / count - 0.5)).toBeLessThan(0.05);
    }
  });
});
