import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BitReader, BitWriter, bitLength, uniformBits } from "../../../src/wire/codec1/bits.ts";
import { reasonOf } from "../../support/reason.ts";
import { bitText } from "./bit-text.ts";

interface Code {
  readonly kind: keyof typeof CODES;
  readonly value: number;
  /** A count, a maximum or an order. */
  readonly by: number;
}

const RUN_MAX = 300;
const RICE_MAX = 5_000;
const CODES = {
  bits: {
    write: (writer: BitWriter, value: number, count: number) => writer.bits(value, count),
    read: (reader: BitReader, count: number) => reader.bits(count),
  },
  run: {
    write: (writer: BitWriter, value: number) => writer.run(value),
    read: (reader: BitReader) => reader.run(RUN_MAX),
  },
  uniform: {
    write: (writer: BitWriter, value: number, max: number) => writer.uniform(value, max),
    read: (reader: BitReader, max: number) => reader.uniform(max),
  },
  rice: {
    write: (writer: BitWriter, value: number, k: number) => writer.rice(value, k),
    read: (reader: BitReader, k: number) => reader.rice(k, RICE_MAX),
  },
  expGolomb: {
    write: (writer: BitWriter, value: number, k: number) => writer.expGolomb(value, k),
    read: (reader: BitReader, k: number) => reader.expGolomb(k),
  },
} as const;

function anyCodeOf(kind: Code["kind"], by: fc.Arbitrary<number>, max: (by: number) => number) {
  return by.chain((chosen) =>
    fc.record({
      kind: fc.constant(kind),
      value: fc
        .oneof(fc.nat({ max: Math.min(100, max(chosen)) }), fc.maxSafeNat())
        .map((value) => Math.min(value, max(chosen))),
      by: fc.constant(chosen),
    }),
  );
}

const anyCode: fc.Arbitrary<Code> = fc.oneof(
  anyCodeOf("bits", fc.integer({ min: 0, max: 53 }), (count) => 2 ** count - 1),
  anyCodeOf("run", fc.constant(0), () => RUN_MAX),
  anyCodeOf("uniform", fc.nat(70_000), (max) => max),
  anyCodeOf("rice", fc.integer({ min: 4, max: 15 }), () => RICE_MAX),
  anyCodeOf("expGolomb", fc.nat(25), (k) => Number.MAX_SAFE_INTEGER - 2 ** k),
);

function written(codes: readonly Code[]): Uint8Array {
  const writer = new BitWriter();
  for (const { kind, value, by } of codes) CODES[kind].write(writer, value, by);
  return writer.done();
}

describe("bits", () => {
  it("any sequence of codes is read back, to the last bit", () => {
    fc.assert(
      fc.property(fc.array(anyCode, { maxLength: 80 }), (codes) => {
        const reader = new BitReader(written(codes));
        for (const { kind, value, by } of codes) expect(CODES[kind].read(reader, by)).toBe(value);
        reader.end();
      }),
    );
  });

  it("every proper prefix is refused as cut off", () => {
    fc.assert(
      fc.property(fc.array(anyCode, { minLength: 1, maxLength: 8 }), fc.nat(), (codes, cut) => {
        const bytes = written(codes);
        if (bytes.length === 0) return;
        const reader = new BitReader(bytes.subarray(0, cut % bytes.length));
        const reason = reasonOf(() => {
          for (const { kind, by } of codes) CODES[kind].read(reader, by);
        });
        expect(reason).toBe("columns.truncated");
      }),
    );
  });

  it("bits fill a byte from its highest, numbers begin with their highest", () => {
    const writer = new BitWriter();
    writer.bits(0b101, 3);
    writer.run(2);
    writer.uniform(1, 4); // the first three of five choices take two bits
    writer.uniform(4, 4); // the others three
    writer.rice(13, 2);
    writer.expGolomb(13, 2);
    expect(writer.length).toBe(24);
    expect(writer.done()).toEqual(bitText("101 001 01 111 0001 01 00100 01"));
  });

  it("a uniform code is within a tenth of a bit of the logarithm", () => {
    for (const max of [1, 2, 4, 9, 300, 367, 1_000, 2_047, 2_048]) {
      let bits = 0;
      for (let value = 0; value <= max; value += 1) bits += uniformBits(value, max);
      expect(bits / (max + 1) - Math.log2(max + 1)).toBeLessThan(0.1);
    }
    expect(uniformBits(0, 0)).toBe(0);
  });

  it("bitLength counts bits up to the largest safe integer", () => {
    const cases = [0, 1, 2, 3, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER];
    for (const value of cases) {
      expect(bitLength(value)).toBe(value === 0 ? 0 : value.toString(2).length);
    }
  });

  it("more zeros than a value has are refused before they are all read", () => {
    const zeros = new Uint8Array(15_000);
    zeros[14_999] = 1;
    expect(reasonOf(() => new BitReader(zeros).run(40))).toBe("columns.run");
    expect(reasonOf(() => new BitReader(zeros).expGolomb(0))).toBe("columns.run");
    expect(reasonOf(() => new BitReader(zeros).rice(4, 1_000))).toBe("columns.run");
    expect(new BitReader(zeros).run(200_000)).toBe(15_000 * 8 - 1);
  });

  it.each([
    ["a bit of padding that is set", "1000 0001", "columns.padding"],
    ["a byte too many", "1000 0000 0000 0000", "columns.trailing"],
    ["nothing where a bit is due", "", "columns.truncated"],
  ])("%s is refused", (_what, text, reason) => {
    const reader = new BitReader(bitText(text));
    const act = () => {
      reader.bits(1);
      reader.end();
    };
    expect(reasonOf(act)).toBe(reason);
  });

  it("a value that does not fit its bits is our own bug", () => {
    expect(() => new BitWriter().bits(4, 2)).toThrow("assertion failed");
    expect(() => new BitWriter().bits(-1, 2)).toThrow("assertion failed");
    expect(() => new BitWriter().uniform(5, 4)).toThrow("assertion failed");
  });
});
