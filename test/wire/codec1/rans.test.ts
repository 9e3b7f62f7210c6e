import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RansDecoder, RansEncoder } from "../../../src/wire/codec1/rans.ts";
import { hex, reasonOf } from "../../support/reason.ts";

/** Numbers of 0 to 15 bits; symbols of uneven shares are tried where rows are (block.test.ts). */
const anyNumbers = fc.array(
  fc
    .integer({ min: 0, max: 15 })
    .chain((count) => fc.tuple(fc.integer({ min: 0, max: (1 << count) - 1 }), fc.constant(count))),
  { maxLength: 300 },
);

function encoded(numbers: readonly (readonly [value: number, count: number])[]): Uint8Array {
  const encoder = new RansEncoder();
  for (const [value, count] of numbers) encoder.putBits(value, count);
  return encoder.finish();
}

function decoded(bytes: Uint8Array, counts: readonly number[]): number[] {
  const decoder = new RansDecoder(bytes);
  const values = counts.map((count) => decoder.bits(count));
  decoder.finish();
  return values;
}

const countsOf = (numbers: readonly (readonly [number, number])[]) =>
  numbers.map(([, count]) => count);

describe("codec 1: rANS", () => {
  it("decodes what was encoded, to the last byte", () => {
    fc.assert(
      fc.property(anyNumbers, (numbers) => {
        const values = numbers.map(([value]) => value);
        expect(decoded(encoded(numbers), countsOf(numbers))).toEqual(values);
      }),
    );
  });

  it("takes the bits that the shares promise, and four bytes", () => {
    const numbers = Array.from({ length: 4000 }, (_, at) => [at % 4, 2 + (at % 3)] as const);
    const bits = numbers.reduce((sum, [, count]) => sum + count, 0);
    expect(Math.abs(encoded(numbers).length - bits / 8 - 4)).toBeLessThan(2);
  });

  it("raw bits of every width pass", () => {
    const encoder = new RansEncoder();
    for (let count = 0; count <= 15; count += 1) encoder.putBits((1 << count) - 1, count);
    const decoder = new RansDecoder(encoder.finish());
    for (let count = 0; count <= 15; count += 1) expect(decoder.bits(count)).toBe((1 << count) - 1);
    decoder.finish();
  });

  it("one byte less, one more or one flipped in the state is refused", () => {
    fc.assert(
      fc.property(anyNumbers, (numbers) => {
        const bytes = encoded(numbers);
        const counts = countsOf(numbers);
        const shorter = bytes.subarray(0, -1);
        const longer = Uint8Array.of(...bytes, 0);
        expect(reasonOf(() => decoded(shorter, counts))).toMatch(/^codec\./);
        expect(reasonOf(() => decoded(longer, counts))).toBe("codec.trailing");
      }),
    );
    expect(reasonOf(() => new RansDecoder(hex("ffff7f00")))).toBe("codec.state");
    expect(reasonOf(() => new RansDecoder(hex("00000080")))).toBe("codec.state");
    expect(reasonOf(() => new RansDecoder(hex("0000")))).toBe("codec.truncated");
  });

  it("nothing is four bytes", () => {
    expect(encoded([])).toEqual(hex("00008000"));
  });
});
