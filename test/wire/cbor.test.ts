import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CBOR_ITEMS_MAX,
  type CborValue,
  decodeCbor,
  encodeCbor,
  walkCbor,
} from "../../src/wire/index.ts";
import { hex, refusalOf } from "../support/reason.ts";
import { anyCbor } from "./arbitraries.ts";

/** The head of a long byte string, array or map: major type and a four-byte length. */
function head4(major: number, length: number): string {
  return ((major << 5) | 26).toString(16) + length.toString(16).padStart(8, "0");
}

describe("deterministic CBOR", () => {
  it("reads back what it writes, whatever it is", () => {
    fc.assert(
      fc.property(anyCbor, (value) => {
        const bytes = encodeCbor(value);
        expect(decodeCbor(bytes)).toEqual(value);
        expect(encodeCbor(decodeCbor(bytes))).toEqual(bytes);
      }),
    );
  });

  it("every proper prefix is refused", () => {
    fc.assert(
      fc.property(anyCbor, (value) => {
        const bytes = encodeCbor(value);
        for (let length = 0; length < bytes.length; length += 1) {
          expect(refusalOf(() => decodeCbor(bytes.subarray(0, length)))).toMatch(
            /^Serialization cbor\.(truncated|length)$/,
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  // The examples of RFC 8949, appendix A, that need neither tags, floats nor 2^53.
  it.each<[CborValue, string]>([
    [0, "00"],
    [23, "17"],
    [24, "1818"],
    [100, "1864"],
    [1000, "1903e8"],
    [1000000, "1a000f4240"],
    [1000000000000, "1b000000e8d4a51000"],
    [Number.MAX_SAFE_INTEGER, "1b001fffffffffffff"],
    [-1, "20"],
    [-1000, "3903e7"],
    [-4294967296, "3affffffff"],
    [-4294967297, "3b0000000100000000"],
    [Number.MIN_SAFE_INTEGER, "3b001ffffffffffffe"],
    [false, "f4"],
    [true, "f5"],
    [null, "f6"],
    [new Uint8Array(0), "40"],
    [hex("01020304"), "4401020304"],
    ["", "60"],
    ["IETF", "6449455446"],
    ["\u{10151}", "64f0908591"],
    [[], "80"],
    [[1, [2, 3], [4, 5]], "8301820203820405"],
    [new Map(), "a0"],
    [
      new Map([
        ["a", "A"],
        ["b", "B"],
      ] as [string, string][]),
      "a2616161416162 6142",
    ],
  ])("%j is written as %s", (value, bytes) => {
    expect(encodeCbor(value)).toEqual(hex(bytes));
    expect(decodeCbor(hex(bytes))).toEqual(value);
  });

  it("map keys are in bytewise order whatever order they came in (RFC 8949 §4.2.1)", () => {
    const keys = ["aa", "z", 100, -1, 10, 24, "omega"];
    const bytes = encodeCbor(new Map(keys.map((key) => [key, null])));
    expect(encodeCbor(new Map(keys.reverse().map((key) => [key, null])))).toEqual(bytes);
    const sorted = decodeCbor(bytes) as Map<unknown, unknown>;
    expect([...sorted.keys()]).toEqual([10, 24, 100, -1, "z", "aa", "omega"]);
  });

  it("a number that is no safe integer is a bug of ours, not a message", () => {
    for (const number of [0.5, Number.NaN, 2 ** 53]) {
      expect(() => encodeCbor(number)).toThrow("assertion failed");
    }
  });
});

describe("THREATS 19: the bounded walker", () => {
  const nested = (depth: number) => `${"81".repeat(depth)}00`;
  it.each([
    ["depth 10,000", nested(10_000), "cbor.depth"],
    ["depth 7", nested(6), "cbor.depth"],
    ["a bignum tag of 64 KB", `c2${head4(2, 65_536)}${"ff".repeat(65_536)}`, "cbor.tag"],
    ["tag 27, which calls functions", "d81b8266526567457870612e", "cbor.tag"],
    ["tag 28, which starts a cycle", "d81c81d81d00", "cbor.tag"],
    ["tag 29, which closes one", "d81d00", "cbor.tag"],
    ["a record tag 0xdfff", "d9dfff8319e000816161", "cbor.tag"],
    ["a self-description tag", "d9d9f700", "cbor.tag"],
    ["a duplicate key", "a2 0001 0002", "cbor.duplicate-key"],
    ["a duplicate text key", "a2 616101 616102", "cbor.duplicate-key"],
    ["a duplicate key further in", "a1 00 a2 616101 616102", "cbor.duplicate-key"],
    ["keys out of order", "a2 0101 0001", "cbor.key-order"],
    ["the key __proto__", "a1 695f5f70726f746f5f5f 00", "cbor.proto-key"],
    ["the key __proto__ among others", "a2 00 00 695f5f70726f746f5f5f a0", "cbor.proto-key"],
    ["an array as a key", "a1 80 00", "cbor.key-type"],
    ["bytes as a key", "a1 40 00", "cbor.key-type"],
    ["true as a key", "a1 f5 00", "cbor.key-type"],
    ["half NaN", "f97e00", "cbor.not-finite"],
    ["half infinity", "f97c00", "cbor.not-finite"],
    ["single −infinity", "faff800000", "cbor.not-finite"],
    ["double NaN", "fb7ff8000000000000", "cbor.not-finite"],
    ["double infinity", "fb7ff0000000000000", "cbor.not-finite"],
    ["a finite float", "f93c00", "cbor.float"],
    ["1.1 as a double", "fb3ff199999999999a", "cbor.float"],
    ["2^53", "1b0020000000000000", "cbor.integer-range"],
    ["2^64 − 1", "1bffffffffffffffff", "cbor.integer-range"],
    ["−2^53 − 1", "3b0020000000000000", "cbor.integer-range"],
    ["invalid UTF-8", "62c328", "cbor.utf8"],
    ["an overlong slash", "62c0af", "cbor.utf8"],
    ["a surrogate", "63eda080", "cbor.utf8"],
    ["U+110000", "64f4908080", "cbor.utf8"],
    ["FE FF", "62feff", "cbor.utf8"],
    ["a sequence cut by the end of its text", "82 61c3 61a9", "cbor.utf8"],
    ["an indefinite array", "9f00ff", "cbor.indefinite"],
    ["an indefinite map", "bf0000ff", "cbor.indefinite"],
    ["indefinite bytes", "5f4100ff", "cbor.indefinite"],
    ["indefinite text", "7f6161ff", "cbor.indefinite"],
    ["a lone break", "ff", "cbor.indefinite"],
    ["undefined", "f7", "cbor.simple"],
    ["simple value 16", "f0", "cbor.simple"],
    ["simple value 255", "f8ff", "cbor.simple"],
    ["false in two bytes", "f814", "cbor.simple"],
    ["reserved additional information", "1c", "cbor.reserved"],
    ["an array that claims 2^32 − 1 items", "9affffffff00", "cbor.length"],
    ["a map that claims 2^31 entries", "ba8000000000", "cbor.length"],
    ["bytes that claim 2^50", "5b0004000000000000 00", "cbor.length"],
    ["text longer than there is", "7818616161", "cbor.length"],
    ["a head cut off", "19 00", "cbor.truncated"],
    ["an item that is missing", "82 00", "cbor.length"],
    ["nothing at all", "", "cbor.truncated"],
    ["23 in two bytes", "1817", "cbor.not-shortest"],
    ["255 in three bytes", "1900ff", "cbor.not-shortest"],
    ["65535 in five bytes", "1a0000ffff", "cbor.not-shortest"],
    ["2^32 − 1 in nine bytes", "1b00000000ffffffff", "cbor.not-shortest"],
    ["a length in two bytes", "580101", "cbor.not-shortest"],
    ["bytes after the item", "0000", "cbor.trailing"],
    [
      "too many items",
      `99${CBOR_ITEMS_MAX.toString(16)}${"00".repeat(CBOR_ITEMS_MAX)}`,
      "cbor.items",
    ],
  ])("%s is refused with its reason", (_what, bytes, reason) => {
    expect(refusalOf(() => decodeCbor(hex(bytes)))).toBe(`Serialization ${reason}`);
  });

  it("accepts the deepest nesting and the largest count it promises", () => {
    expect(() => walkCbor(hex(nested(5)))).not.toThrow();
    const items = CBOR_ITEMS_MAX - 1;
    expect(() => walkCbor(hex(`99${items.toString(16)}${"00".repeat(items)}`))).not.toThrow();
  });

  it("P8: reads each byte at most a few times, whatever the bytes", () => {
    const text = "61".repeat(15_000);
    const inputs = [
      hex(`a2 79 3a98 ${text} 00 79 3a98 ${text} 00`),
      hex(`${"81".repeat(6)}${head4(4, 65_000)}${"00".repeat(65_000)}`),
      hex(`79 7530 ${"c3a9".repeat(15_000)}`),
      hex(nested(30_000)),
    ];
    for (const bytes of inputs) {
      let reads = 0;
      const counted = new Proxy(bytes, {
        get(target, key) {
          if (typeof key === "string" && /^\d+$/.test(key)) reads += 1;
          return Reflect.get(target, key, target);
        },
      });
      refusalOf(() => walkCbor(counted));
      expect(reads).toBeGreaterThan(0);
      expect(reads).toBeLessThanOrEqual(5 * bytes.length);
    }
  });

  it("any bytes are decoded or refused by name", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const refusal = refusalOf(() => expect(encodeCbor(decodeCbor(bytes))).toEqual(bytes));
        expect(refusal ?? "Serialization cbor.").toMatch(/^Serialization cbor\./);
      }),
      { numRuns: 3000 },
    );
  });
});
