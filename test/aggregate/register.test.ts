import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forgetMarkCount, forgetMarkRow } from "../../src/aggregate/forget-mark.ts";
import { decodeRegister, encodeRegisters, type Register } from "../../src/aggregate/register.ts";
import {
  addSums,
  contribute,
  copySums,
  decodeSums,
  emptySums,
  encodeSums,
  exchange,
  isEmptySums,
} from "../../src/aggregate/sums.ts";
import { limits } from "../../src/core/index.ts";
import { vectorOf } from "./frames.ts";

const ordinal = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const written = { epoch: ordinal, seq: ordinal, bucket: fc.maxSafeInteger() };
const live = fc.record({
  kind: fc.constant("live" as const),
  ...written,
  weight: fc.integer({ min: 1, max: limits.WEIGHT_MAX }),
  successPermille: fc.integer({ min: 0, max: 1_000 }),
  samples: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  updatedAtS: fc.integer({ min: 0, max: 2 ** 40 }),
  space: fc.integer({ min: 0, max: 0xffff }),
  vector: fc.int16Array({ minLength: 8, maxLength: 40 }),
});
const tombstone = fc.record({ kind: fc.constant("tombstone" as const), ...written });
const register: fc.Arbitrary<Register> = fc.oneof(live, tombstone);

/** The bytes of a register that is written alone. */
function encodeRegister(value: Register): Uint8Array {
  const bytes = encodeRegisters(new Map([["p", value]])).get("p");
  if (!bytes) throw new Error("a register has bytes");
  return bytes;
}

describe("register", () => {
  it("has the same bytes alone and among others, and none has no bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.option(register), { maxLength: 6 }), (values) => {
        const registers = new Map(values.map((value, at) => [`p${at}`, value]));
        const alone = values.map((value, at) => [
          `p${at}`,
          value === null ? null : encodeRegister(value),
        ]);
        expect([...encodeRegisters(registers)]).toEqual(alone);
      }),
    );
  });

  it("comes back from its bytes as it was", () => {
    fc.assert(
      fc.property(register, (value) => {
        expect(decodeRegister(encodeRegister(value))).toEqual(value);
      }),
    );
  });

  it("any prefix of its bytes is refused, or is another whole register", () => {
    fc.assert(
      fc.property(register, fc.nat(), (value, cut) => {
        const bytes = encodeRegister(value);
        const prefix = bytes.subarray(0, cut % bytes.length);
        try {
          expect(encodeRegister(decodeRegister(prefix))).toEqual(Uint8Array.from(prefix));
        } catch (error) {
          expect(error).toMatchObject({ code: "Serialization", reason: "record.register" });
        }
      }),
    );
  });

  it("whatever bytes decode, encode to the same bytes", () => {
    fc.assert(
      fc.property(register, fc.nat(), fc.nat({ max: 255 }), (value, at, byte) => {
        const bytes = encodeRegister(value);
        bytes[at % bytes.length] = byte;
        try {
          expect(encodeRegister(decodeRegister(bytes))).toEqual(bytes);
        } catch (error) {
          expect(error).toMatchObject({ reason: "record.register" });
        }
      }),
    );
  });

  it("of the format without a space is refused by name", () => {
    const bytes = encodeRegister({ kind: "tombstone", epoch: 1, seq: 1, bucket: 1 });
    bytes[0] = 1;
    expect(() => decodeRegister(bytes)).toThrow(/format 1; this version reads 2/);
  });
});

/** A seed's space depends on the seed, so that any few of them mix spaces. */
const part = (seed: number, weight = 3) => ({
  weight,
  successPermille: 700,
  samples: 50,
  space: [0, 7, 0xffff][seed % 3] ?? 0,
  vector: vectorOf(seed),
});

describe("sums", () => {
  it("P4: what is added in any order and taken back leaves no trace", () => {
    const seeds = fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: limits.WEIGHT_MAX }), (order, weight) => {
        const sums = emptySums(8);
        contribute(sums, part(9_999), 1);
        const before = encodeSums(sums);
        for (const seed of order) contribute(sums, part(seed, weight), 1);
        for (const seed of [...order].sort()) contribute(sums, part(seed, weight), -1);
        expect(encodeSums(sums)).toEqual(before);
        contribute(sums, part(9_999), -1);
        expect(isEmptySums(sums)).toBe(true);
        expect(encodeSums(sums)).toEqual(encodeSums(emptySums(8)));
      }),
    );
  });

  it("come back from their bytes, and two shards add up to one", () => {
    const [left, right, both] = [emptySums(8), emptySums(8), emptySums(8)];
    for (const seed of [1, 2, 3]) contribute(left, part(seed), 1);
    for (const seed of [4, 5]) contribute(right, part(seed), 1);
    for (const seed of [5, 3, 1, 4, 2]) contribute(both, part(seed), 1);
    const sum = copySums(decodeSums(encodeSums(left)));
    addSums(sum, decodeSums(encodeSums(right)));
    expect(encodeSums(sum)).toEqual(encodeSums(both));
  });

  it("a space has its own sum and its own count, and is gone with its last device", () => {
    const sums = emptySums(8);
    for (const seed of [1, 3, 4]) contribute(sums, part(seed), 1);
    const countOf = () => [...sums.parts].map(([space, { devices }]) => [space, devices]);
    expect(countOf()).toEqual([
      [7, 2],
      [0, 1],
    ]);
    expect(sums.devices).toBe(3);
    const own = sums.parts.get(0)?.vector;
    expect(own).toEqual(Float64Array.from(vectorOf(3), (value) => 3 * value));
    contribute(sums, part(3), -1);
    expect(countOf()).toEqual([[7, 2]]);
    expect(encodeSums(decodeSums(encodeSums(sums)))).toEqual(encodeSums(sums));
  });

  it("assert when a register is taken back from a space it was not counted in", () => {
    const sums = emptySums(8);
    contribute(sums, part(1), 1);
    expect(() => contribute(sums, { ...part(1), space: 3 }, -1)).toThrow(/assertion failed/);
  });

  it("one register's samples are counted up to 2^22, and taken back alike", () => {
    const sums = emptySums(8);
    contribute(sums, { ...part(1), samples: 2 ** 32 - 1 }, 1);
    expect(sums.samples).toBe(2 ** 22);
    contribute(sums, { ...part(1), samples: 2 ** 32 - 1 }, -1);
    expect(isEmptySums(sums)).toBe(true);
  });

  it("P4: an exchange is what taking back and adding is, in one space or two", () => {
    const seeds = fc.integer({ min: 1, max: 500 });
    const weights = fc.integer({ min: 1, max: limits.WEIGHT_MAX });
    fc.assert(
      fc.property(seeds, seeds, seeds, weights, weights, (first, taken, given, one, two) => {
        const [exchanged, stepped] = [emptySums(8), emptySums(8)];
        for (const sums of [exchanged, stepped]) {
          contribute(sums, part(first), 1);
          contribute(sums, part(taken, one), 1);
        }
        exchange(exchanged, part(taken, one), part(given, two));
        contribute(stepped, part(taken, one), -1);
        contribute(stepped, part(given, two), 1);
        expect(encodeSums(exchanged)).toEqual(encodeSums(stepped));
      }),
    );
  });

  it("assert when more is taken back than was added", () => {
    expect(() => contribute(emptySums(8), part(1), -1)).toThrow(/assertion failed/);
  });

  it("refuse bytes they would not write", () => {
    const sums = emptySums(8);
    for (const seed of [1, 3]) contribute(sums, part(seed), 1);
    // One component that takes eight bytes makes all of them take eight.
    const wide = sums.parts.get(0)?.vector;
    if (wide !== undefined) wide[7] = 2 ** 31;
    const bytes = encodeSums(sums);
    const broken = (change: (copy: Uint8Array) => Uint8Array) => () =>
      decodeSums(change(bytes.slice()));
    const withFloat = (offset: number, value: number) => (copy: Uint8Array) => {
      new DataView(copy.buffer).setFloat64(offset, value, true);
      return copy;
    };
    const secondPart = 40 + 16 + 8 * 8;
    const cases: [string, (copy: Uint8Array) => Uint8Array][] = [
      ["cut short", (copy) => copy.subarray(0, copy.length - 1)],
      ["no parts", (copy) => copy.subarray(0, 40)],
      ["not even a head", (copy) => copy.subarray(0, 3)],
      ["the format without spaces", (copy) => copy.fill(1, 0, 1)],
      ["components of another width", (copy) => copy.fill(4, 1, 2)],
      ["wider components than it needs", withFloat(40 + 16 + 8 * 7, 1)],
      ["padding", (copy) => copy.fill(1, 3, 4)],
      ["another dimension", (copy) => copy.fill(9, 4, 5)],
      ["no dimension", (copy) => copy.fill(0, 4, 6)],
      ["fewer parts than there are", (copy) => copy.fill(1, 6, 7)],
      ["a negative weight", withFloat(8, -1)],
      ["half a device", withFloat(16, 0.5)],
      ["devices in no part", withFloat(16, 3)],
      ["a space past two bytes", withFloat(secondPart, 0x10000)],
      ["a space twice", withFloat(secondPart, 0)],
      ["a part without devices", withFloat(48, 0)],
      ["no number", withFloat(56, Number.NaN)],
      ["a component past 2^53", withFloat(64, 2 ** 53)],
    ];
    for (const [name, change] of cases) {
      expect(broken(change), name).toThrow(expect.objectContaining({ reason: "record.sums" }));
    }
  });
});

describe("stored sums", () => {
  const rowOf = (component: number) => {
    const sums = emptySums(8);
    contribute(sums, part(3), 1);
    const vector = sums.parts.get(0)?.vector;
    if (vector !== undefined) vector[0] = component;
    return sums;
  };

  it("take four bytes a component where all fit, else eight, and come back alike", () => {
    for (const [component, bytes] of [
      [2 ** 31 - 1, 4],
      [-(2 ** 31), 4],
      [2 ** 31, 8],
      [-(2 ** 52), 8],
    ] as const) {
      const encoded = encodeSums(rowOf(component));
      expect(encoded.length).toBe(40 + 16 + 8 * bytes);
      expect(decodeSums(encoded)).toEqual(rowOf(component));
    }
  });

  it("of format 2 are read: eight bytes a component, however small", () => {
    const sums = rowOf(5);
    const old = new Uint8Array(40 + 16 + 8 * 8);
    old.set(encodeSums(sums).subarray(0, 56));
    old.set([2, 0]);
    old.set(new Uint8Array(Float64Array.from(sums.parts.get(0)?.vector ?? []).buffer), 56);
    expect(decodeSums(old)).toEqual(sums);
  });
});

describe("deletion mark", () => {
  it("comes back from its row, and a broken one is refused", () => {
    expect(forgetMarkCount(forgetMarkRow("acme", 3))).toBe(3);
    const row = { ...forgetMarkRow("acme", 3), blob: new Uint8Array(7) };
    expect(() => forgetMarkCount(row)).toThrow(expect.objectContaining({ reason: "record.mark" }));
  });
});
