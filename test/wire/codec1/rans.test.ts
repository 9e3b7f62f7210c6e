import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RansDecoder, RansEncoder, SHARES } from "../../../src/wire/codec1/rans.ts";
import { hex, reasonOf } from "../../support/reason.ts";

/** Symbols 0 (half), 1 and 2 (with signs), as `starts` are laid out. */
const STARTS = Uint16Array.of(0, 16384, 32764, SHARES);
const anySymbols = fc.array(fc.integer({ min: -2, max: 2 }), { maxLength: 300 });

function encoded(symbols: readonly number[]): Uint8Array {
  const encoder = new RansEncoder();
  for (const symbol of symbols) {
    const start = STARTS[Math.abs(symbol)] ?? 0;
    const share = (STARTS[Math.abs(symbol) + 1] ?? 0) - start;
    if (symbol === 0) encoder.put(start, share);
    else encoder.put(symbol > 0 ? start : start + share / 2, share / 2);
  }
  return encoder.finish();
}

function decoded(bytes: Uint8Array, count: number): number[] {
  const decoder = new RansDecoder(bytes);
  const symbols = Array.from({ length: count }, () => decoder.symbol(STARTS, 0));
  decoder.end();
  return symbols;
}

describe("codec 1: rANS", () => {
  it("decodes what was encoded, to the last byte", () => {
    fc.assert(
      fc.property(anySymbols, (symbols) => {
        expect(decoded(encoded(symbols), symbols.length)).toEqual(symbols);
      }),
    );
  });

  it("takes the bits that the shares promise, and four bytes", () => {
    const symbols = Array.from({ length: 4000 }, (_, at) => at % 2);
    const bits = symbols.reduce((sum, symbol) => sum + (symbol === 0 ? 1 : 2.0004), 0);
    expect(Math.abs(encoded(symbols).length - bits / 8 - 4)).toBeLessThan(2);
  });

  it("raw bits of every width pass", () => {
    const encoder = new RansEncoder();
    for (let count = 0; count <= 15; count += 1) encoder.putBits((1 << count) - 1, count);
    const decoder = new RansDecoder(encoder.finish());
    for (let count = 0; count <= 15; count += 1) expect(decoder.bits(count)).toBe((1 << count) - 1);
    decoder.end();
  });

  it("one byte less, one more or one flipped in the state is refused", () => {
    fc.assert(
      fc.property(anySymbols, (symbols) => {
        const bytes = encoded(symbols);
        const shorter = bytes.subarray(0, -1);
        const longer = Uint8Array.of(...bytes, 0);
        expect(reasonOf(() => decoded(shorter, symbols.length))).toMatch(/^codec\./);
        expect(reasonOf(() => decoded(longer, symbols.length))).toBe("codec.trailing");
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
