/**
 * What every stored record must do, whatever it holds.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reasonOf, refusalOf } from "../support/reason.ts";
import { bytes } from "./samples.ts";

/** `version` is the first byte of what `encode` writes, and the newest there is. */
export function recordProperties<T>(
  name: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (stored: Uint8Array) => T,
  version = 1,
): void {
  describe(`record: a ${name}`, () => {
    test("comes back as it was", () => {
      fc.assert(
        fc.property(values, (value) => {
          // The copy loses the prototypes of fast-check's records, as a store does.
          expect(decode(encode(value))).toEqual(structuredClone(value));
        }),
      );
    });

    test("that was cut short is refused", () => {
      fc.assert(
        fc.property(values, fc.nat(), (value, random) => {
          const whole = encode(value);
          const cut = whole.subarray(0, random % whole.length);
          expect(refusalOf(() => decode(cut))).toMatch(/^Serialization record\./);
        }),
      );
    });

    test("with bytes behind it is refused", () => {
      fc.assert(
        fc.property(values, (value) => {
          const longer = Buffer.concat([encode(value), bytes(0)]);
          expect(reasonOf(() => decode(longer))).toBe("record.trailing");
        }),
      );
    });

    test("of another version is refused", () => {
      fc.assert(
        fc.property(values, fc.integer({ min: version + 1, max: 255 }), (value, later) => {
          const other = Uint8Array.from(encode(value));
          other[0] = later;
          expect(reasonOf(() => decode(other))).toBe("record.version");
        }),
      );
    });

    test("has one spelling: noise is refused, or encodes to itself", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
          const stored = Uint8Array.from([version, ...noise]);
          const reason = reasonOf(() => decode(stored));
          if (reason !== null) expect(reason).toMatch(/^record\./);
          else expect(Buffer.from(encode(decode(stored)))).toEqual(Buffer.from(stored));
        }),
        { numRuns: 2_000 },
      );
    });
  });
}
