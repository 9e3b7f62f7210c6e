import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codec0, codecById, residualOf } from "../../src/wire/index.ts";
import { hex, reasonOf } from "../support/reason.ts";
import { anyVector } from "./arbitraries.ts";

const DIM = 10;
const anyResiduals = fc.array(
  fc
    .tuple(anyVector(DIM), anyVector(DIM))
    .map(([target, reference]) => residualOf(target, reference)),
  { maxLength: 6 },
);

function stepAt(bytes: Uint8Array, index: number): number {
  return (bytes[2 * index] ?? 0) + 256 * (bytes[2 * index + 1] ?? 0);
}

describe("codec 0", () => {
  it("decodes to exactly what the encoder said, every component within half a step", () => {
    fc.assert(
      fc.property(anyResiduals, (residuals) => {
        const { bytes, decoded } = codec0.encode(residuals, DIM);
        const back = codec0.decode(bytes, residuals.length, DIM);
        expect(back.map((vector) => Int32Array.from(vector))).toEqual(decoded);
        for (const [index, residual] of residuals.entries()) {
          const half = stepAt(bytes, index) / 2;
          for (const [at, value] of residual.entries()) {
            expect(Math.abs(value - (decoded[index]?.[at] ?? 0))).toBeLessThanOrEqual(half);
          }
        }
      }),
    );
  });

  it("P7: the distortion it reports is the distortion measured", () => {
    fc.assert(
      fc.property(anyResiduals, (residuals) => {
        const { bytes, nmse } = codec0.encode(residuals, DIM);
        const decoded = codec0.decode(bytes, residuals.length, DIM);
        let wrong = 0;
        let all = 0;
        for (const [index, residual] of residuals.entries()) {
          for (const [at, value] of residual.entries()) {
            wrong += (value - (decoded[index]?.[at] ?? 0)) ** 2;
            all += value ** 2;
          }
        }
        expect(nmse).toBe(all === 0 ? 0 : wrong / all);
      }),
    );
  });

  it("P5: a decoded vector is a fixed point", () => {
    fc.assert(
      fc.property(anyResiduals, (residuals) => {
        const once = codec0.encode(residuals, DIM);
        const twice = codec0.encode(once.decoded, DIM);
        expect(twice.decoded).toEqual(once.decoded);
        expect(twice.nmse).toBe(0);
      }),
    );
  });

  it("steps where rounding up would not be a fixed point without the common divisor", () => {
    // 16130 / 128 rounds to 126 levels, whose own smallest step would be 127.
    const { decoded } = codec0.encode([Int32Array.from([16130, 3, 0, 0, 0, 0, 0, 0])], 8);
    expect(codec0.encode(decoded, 8).decoded).toEqual(decoded);
  });

  it("the layout is steps, then levels", () => {
    const vectors = [Int32Array.from([254, -2]), Int32Array.from([65535, 0]), new Int32Array(2)];
    expect(codec0.encode(vectors, 2).bytes).toEqual(hex("0200 ffff 0100 7fff 0100 0000"));
  });

  it("a decoded vector takes two bytes a component for as long as every level fits", () => {
    expect(codec0.decode(hex("0201 7f81"), 1, 2)).toEqual([Int16Array.from([32_766, -32_766])]);
    expect(codec0.decode(hex("0301 7f81"), 1, 2)).toEqual([Int32Array.from([32_893, -32_893])]);
  });

  it.each([
    ["one byte short", "0100 00", "codec.length"],
    ["one byte long", "0100 0000 00", "codec.length"],
    ["a step of zero", "0000 0101", "codec.step"],
    ["level −128", "0100 8000", "codec.level"],
  ])("%s is refused", (_what, bytes, reason) => {
    expect(reasonOf(() => codec0.decode(hex(bytes), 1, 2))).toBe(reason);
  });

  it("an unknown codec is refused", () => {
    expect(codecById(0)).toBe(codec0);
    expect(reasonOf(() => codecById(1))).toBe("codec.unknown");
  });
});
