import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packCodes, unpackCodes } from "../../bench/codec/block-codec.ts";
import { gaussianFrom } from "../../bench/codec/gaussian.ts";
import { fromHalf, toHalf } from "../../bench/codec/half.ts";
import { trainProductQuantiser } from "../../bench/codec/product-quantiser.ts";
import { rotationOf } from "../../bench/codec/rotate.ts";
import { rotatedCodec } from "../../bench/codec/rotated-codec.ts";
import { float16Codec, float32Codec, integerCodec } from "../../bench/codec/scalar-codec.ts";
import { seededRandom } from "../../src/core/index.ts";

const dim = 384;

function gaussians(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, gaussianFrom(seededRandom(seed)));
}

function nmse(a: Float64Array, b: Float64Array): number {
  const error = a.reduce((sum, x, at) => sum + (x - (b[at] as number)) ** 2, 0);
  return error / a.reduce((sum, x) => sum + x * x, 0);
}

describe("bench: the parts of the baselines", () => {
  it("bench: halves round to within 2^-11 and come back as they went", () => {
    fc.assert(
      fc.property(fc.double({ min: -65_504, max: 65_504, noNaN: true }), (value) => {
        const half = toHalf(value);
        const back = fromHalf(half);
        expect(toHalf(back)).toBe(half);
        const allowed = Math.max(Math.abs(value) * 2 ** -11, 2 ** -25);
        expect(Math.abs(back - value)).toBeLessThanOrEqual(allowed);
      }),
    );
    expect([1, -2, 65_504, 1e9, 0].map(toHalf)).toEqual([0x3c00, 0xc000, 0x7bff, 0x7bff, 0]);
  });

  it("bench: codes come out of their bytes as they went in", () => {
    const codes = Uint8Array.from({ length: 37 }, (_, at) => at * 29);
    for (const bits of [1, 2, 4, 8]) {
      const cut = codes.map((code) => code % 2 ** bits);
      expect(unpackCodes(packCodes(cut, bits), bits, cut.length)).toEqual(cut);
    }
  });

  it.each([8, 100, 384, 1000])("bench: a rotation of %i components keeps lengths", (size) => {
    const vector = gaussians(size, size);
    const turned = vector.slice();
    const rotation = rotationOf(size, 3);
    rotation.forward(turned);
    const energy = (x: Float64Array) => x.reduce((sum, value) => sum + value * value, 0);
    expect(energy(turned)).toBeCloseTo(energy(vector), 8);
    expect(nmse(vector, turned)).toBeGreaterThan(0.5);
    rotation.inverse(turned);
    expect(nmse(vector, turned)).toBeLessThan(1e-20);
  });

  it("bench: a rotation spreads a single spike over all components", () => {
    const spike = new Float64Array(dim);
    spike[17] = 1;
    rotationOf(dim, 5).forward(spike);
    expect(Math.max(...spike.map(Math.abs))).toBeLessThan(0.35);
  });
});

describe("bench: what the baselines lose", () => {
  const block = gaussians(200 * dim, 21);
  const through = (codec: ReturnType<typeof integerCodec>, seed = 1) =>
    codec.decode(codec.encode(block, dim, seed), dim, seed);

  it("bench: float32 loses nothing, float16 and int8 and int4 what their bits say", () => {
    const floats = Float64Array.from(Float32Array.from(block));
    expect(float32Codec.decode(float32Codec.encode(floats, dim, 0), dim, 0)).toEqual(floats);
    expect(nmse(block, through(float16Codec))).toBeLessThan(1e-7);
    expect(nmse(block, through(integerCodec(8)))).toBeLessThan(1e-4);
    expect(nmse(block, through(integerCodec(4)))).toBeLessThan(0.025);
    expect(nmse(block, through(integerCodec(4)))).toBeGreaterThan(0.01);
  });

  it("bench: Lloyd–Max leaves .3634 of a Gaussian at 1 bit and .1175 at 2", () => {
    expect(nmse(block, through(rotatedCodec(1, "least-error")))).toBeCloseTo(0.3634, 2);
    expect(nmse(block, through(rotatedCodec(2, "least-error")))).toBeCloseTo(0.1175, 2);
  });

  it("bench: fixed-rate methods take the bytes that their names say", () => {
    const bytes = (codec: ReturnType<typeof integerCodec>) => codec.encode(block, dim, 0).length;
    expect(bytes(rotatedCodec(1, "least-error"))).toBe(200 * (2 + dim / 8));
    expect(bytes(rotatedCodec(2, "unbiased"))).toBe(200 * (2 + dim / 4));
    expect(bytes(integerCodec(4))).toBe(200 * (2 + dim / 2));
    expect(bytes(float16Codec)).toBe(200 * dim * 2);
  });

  it.each([
    [1, Math.PI / 2 - 1],
    [2, 0.1331],
  ] as const)("bench: EDEN at %i bit is unbiased: the mean of n errs as %f / n", (bits, one) => {
    const codec = rotatedCodec(bits, "unbiased");
    const vector = gaussians(dim, 33).map((x, at) => x * (at < 20 ? 5 : 1));
    const sum = new Float64Array(dim);
    const devices = 400;
    for (let seed = 0; seed < devices; seed += 1) {
      const decoded = codec.decode(codec.encode(vector, dim, seed), dim, seed);
      for (let at = 0; at < dim; at += 1) sum[at] = (sum[at] as number) + (decoded[at] as number);
    }
    const error = nmse(
      vector,
      sum.map((x) => x / devices),
    );
    expect((error * devices) / one).toBeGreaterThan(0.8);
    expect((error * devices) / one).toBeLessThan(1.2);
  });

  it("bench: a biased method gains nothing from the number of devices", () => {
    const codec = rotatedCodec(1, "least-error");
    expect(codec.encode(block, dim, 1)).toEqual(codec.encode(block, dim, 2));
  });

  it("bench: product quantisation learns clusters that it was shown", () => {
    const centres = gaussians(4 * dim, 2);
    const rows = Float64Array.from({ length: 300 * dim }, (_, at) => {
      const centre = Math.floor(at / dim) % 4;
      return centres[centre * dim + (at % dim)] as number;
    });
    const effort = { iterations: 3, random: seededRandom(1) };
    const codec = trainProductQuantiser(rows, dim, 7, effort);
    const coded = codec.encode(rows.subarray(0, 8 * dim), dim, 0);
    expect(coded.length).toBe(8 * 7);
    expect(nmse(rows.slice(0, 8 * dim), codec.decode(coded, dim, 0))).toBeLessThan(1e-20);
  });
});
