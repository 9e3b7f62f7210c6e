import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BLOCK_COEFFICIENTS_MAX,
  type BlockPlan,
  decodeBlock,
  decodeIndices,
  decodeWhole,
  dequantise,
  encodeIndices,
  LAMBDA,
  quantiseBlock,
  searchBlock,
} from "../../../src/wire/codec1/block.ts";
import { roundInto } from "../../../src/wire/codec1/round.ts";
import { hex, reasonOf } from "../../support/reason.ts";
import { DIM, distortionOf, drawBlock, FALLING, FLAT, gapDb, planOf } from "./spectra.ts";

const anyPlan: fc.Arbitrary<BlockPlan> = fc
  .record({
    dim: fc.integer({ min: 8, max: 48 }),
    states: fc.constantFrom(8 as const, 64 as const),
    step: fc.integer({ min: 0, max: 1023 }),
    kinds: fc.array(fc.constantFrom("absolute" as const, "difference" as const), {
      minLength: 1,
      maxLength: 6,
    }),
    gain: fc.boolean(),
  })
  .chain((plan) =>
    fc
      .array(fc.integer({ min: 0, max: 1023 }), { minLength: plan.dim, maxLength: plan.dim })
      .map((spectrum) => ({ ...plan, spectrum: Int16Array.from(spectrum) })),
  );

const anyIndex = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 2, arbitrary: fc.integer({ min: -40, max: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: -32767, max: 32767 }) },
);

const anyBlock = anyPlan.chain((plan) => {
  const length = plan.dim * plan.kinds.length;
  return fc
    .array(anyIndex, { minLength: length, maxLength: length })
    .map((indices) => ({ plan, indices: Int16Array.from(indices) }));
});

describe("codec 1: blocks of indices", () => {
  it("indices are coded without loss", () => {
    fc.assert(
      fc.property(anyBlock, ({ plan, indices }) => {
        expect(decodeIndices(encodeIndices(indices, plan), plan)).toEqual(indices);
      }),
    );
  });

  it("what is read in one pass is what the indices stand for", () => {
    fc.assert(
      fc.property(anyBlock, fc.integer(), ({ plan, indices }, seed) => {
        const bytes = encodeIndices(indices, plan);
        const coefficients = dequantise(indices, plan);
        expect(decodeBlock(bytes, plan)).toEqual(coefficients);
        if (plan.gain) return;
        const mean = Int16Array.from({ length: plan.dim }, (_, at) => Math.imul(seed, at + 1));
        const whole = plan.kinds.flatMap((kind, index) => {
          const residual = new Int32Array(plan.dim);
          roundInto(residual, coefficients, index * plan.dim, kind === "absolute" ? mean : null);
          return [...residual];
        });
        const read = decodeWhole(bytes, plan, mean);
        expect(read.flatMap((vector) => [...vector])).toEqual(whole);
        const fits = whole.every((number) => number === (number << 16) >> 16);
        for (const vector of read) expect(vector instanceof Int16Array).toBe(fits);
      }),
    );
  });

  it("a vector's indices mean the same alone as in any block", () => {
    fc.assert(
      fc.property(anyBlock, ({ plan, indices }) => {
        const together = dequantise(indices, plan);
        for (const [index, kind] of plan.kinds.entries()) {
          const [from, to] = [index * plan.dim, (index + 1) * plan.dim];
          const alone = dequantise(indices.slice(from, to), { ...plan, kinds: [kind] });
          expect(alone).toEqual(together.slice(from, to));
        }
      }),
    );
  });

  it("truncated or mutated bytes are refused as the peer's fault, or are other indices", () => {
    const mutation = fc.record({ at: fc.nat(), to: fc.nat(255), cut: fc.nat(20) });
    fc.assert(
      fc.property(anyBlock, mutation, ({ plan, indices }, { at, to, cut }) => {
        const bytes = encodeIndices(indices, plan);
        bytes[at % bytes.length] = to;
        const reason = reasonOf(() => {
          const decoded = decodeIndices(bytes.subarray(0, bytes.length - cut), plan);
          expect(dequantise(decoded, plan).every(Number.isFinite)).toBe(true);
        });
        if (reason !== null) expect(reason).toMatch(/^codec\./);
      }),
      { numRuns: 400 },
    );
  });

  it("a block that would take too much memory is refused before any is taken", () => {
    const kinds = Array.from(
      { length: Math.ceil(BLOCK_COEFFICIENTS_MAX / 4096) },
      () => "absolute" as const,
    );
    const plan = { ...planOf(FLAT, 0), dim: 4096, kinds };
    expect(reasonOf(() => decodeIndices(new Uint8Array(100), plan))).toBe("codec.count");
    // The widest array that a decoder makes of a block has a float64 for each of them.
    expect(BLOCK_COEFFICIENTS_MAX * Float64Array.BYTES_PER_ELEMENT).toBeLessThan(2 ** 20);
  });

  it("golden: one small block of each spread, byte for byte", () => {
    const spectrum = Int16Array.of(300, 290, 280, 270, 260, 250, 240, 230);
    const plan: BlockPlan = {
      dim: 8,
      states: 8,
      step: 240,
      spectrum,
      kinds: ["absolute", "difference"],
      gain: false,
    };
    const indices = Int16Array.of(3, -1, 0, 2, -1, 0, 0, 1, 20, -2, 1, 1, 0, 0, -1, 0);
    const known = hex("cbf5201101015a512ffe19f30dcfa60000");
    const rotated = hex("093d270169b6e681959b8ffffe4ba7cd85ee0000");
    expect(encodeIndices(indices, plan)).toEqual(known);
    expect(decodeIndices(known, plan)).toEqual(indices);
    expect(encodeIndices(indices, { ...plan, gain: true })).toEqual(rotated);
    expect(decodeIndices(rotated, { ...plan, gain: true })).toEqual(indices);
    expect([...dequantise(indices, plan)]).toEqual([
      1224.0018172860146, -418.6072072982788, 0, 784.1814069151878, -376.8879079222679, 0, 0,
      317.49093931913376, 7322.797700643539, -823.7793859839439, 408.7077125310898,
      395.2726839184761, 0, 0, -321.73357993364334, 0,
    ]);
  });
});

describe("codec 1: quantising blocks", () => {
  it("the cost it reports is the cost measured", () => {
    for (const plan of [
      planOf(FALLING, 20),
      planOf(FALLING, 20, { states: 64, step: 255 }),
      planOf(FALLING, 20, { kinds: Array.from({ length: 20 }, () => "difference" as const) }),
      planOf(FLAT, 20, { gain: true }),
    ]) {
      const block = drawBlock(plan.gain ? FLAT : FALLING, 20, 3);
      const indices = new Int16Array(block.length);
      const { bits, distortion } = searchBlock(block, plan, LAMBDA[plan.states], indices);
      expect(indices).toEqual(quantiseBlock(block, plan));
      const measured = distortionOf(block, dequantise(indices, plan));
      expect(distortion / measured).toBeGreaterThan(0.97);
      expect(distortion / measured).toBeLessThan(1.03);
      const bytes = encodeIndices(indices, plan).length;
      expect(Math.abs(bytes - bits / 8 - 4)).toBeLessThan(4 + bits / 8 / 500);
    }
  });

  it("coefficients of 2^17 grid steps survive the finest step, saturated", () => {
    const coefficients = Float64Array.of(131072, -131072, 60000, -7, 0, 1, 65530, -3);
    for (const gain of [false, true]) {
      const plan = { ...planOf(FLAT.slice(0, 8), 1), step: 0, gain };
      const indices = quantiseBlock(coefficients, plan);
      expect(decodeIndices(encodeIndices(indices, plan), plan)).toEqual(indices);
      const back = dequantise(indices, plan);
      for (const [at, value] of coefficients.entries()) {
        const reachable = Math.max(-65530, Math.min(65530, value));
        expect(Math.abs((back[at] ?? 0) - reachable)).toBeLessThan(8);
      }
    }
  });

  // The Shannon limit for Gaussian sources; scalar quantisation with ideal entropy coding stays
  // 0.8 to 1.5 dB above it at these rates.
  it.each([
    ["flat", FLAT, 8, 281, 0.8],
    ["flat", FLAT, 64, 280, 0.6],
    ["flat", FLAT, 64, 310, 0.75],
    ["falling", FALLING, 8, 254, 0.75],
    ["falling", FALLING, 64, 253, 0.6],
    ["falling", FALLING, 64, 288, 0.6],
  ] as const)(
    "%s spectrum, %i states at step %i: near the limit",
    (_, variances, states, step, dB) => {
      const count = 60;
      const plan = planOf(variances, count, { states, step });
      const block = drawBlock(variances, count, 11);
      const indices = quantiseBlock(block, plan);
      const bits = (8 * encodeIndices(indices, plan).length) / count;
      const distortion = distortionOf(block, dequantise(indices, plan)) / count;
      const gap = gapDb(variances, bits, distortion);
      expect(gap).toBeLessThan(dB);
      expect(gap).toBeGreaterThan(0.2);
      expect(plan.dim).toBe(DIM);
    },
  );
});
