import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { seededRandom } from "../../../src/core/index.ts";
import {
  type Codec1Context,
  type Codec1Options,
  type Codec1Vector,
  decodeCodec1,
  encodeCodec1,
} from "../../../src/wire/codec1/codec1.ts";
import { fromSpace, toSpace } from "../../../src/wire/codec1/klt.ts";
import type { CodecModel } from "../../../src/wire/codec1/model.ts";
import { reconstruct } from "../../../src/wire/grid.ts";
import { hex, reasonOf, refusalOf } from "../../support/reason.ts";
import { gaussian, heldModel } from "./models.ts";
import { distortionOf } from "./spectra.ts";

const MODEL = heldModel(24, 3);
const CONTEXT: Codec1Context = {
  models: { get: (version) => (version === MODEL.version ? MODEL : null) },
  sender: "tenant/device",
  epoch: 1,
  seq: 7,
};

function optionsOf(more: Partial<Codec1Options> = {}): Codec1Options {
  return { dim: 24, bytesMax: 400, states: 8, mode: "tracking", model: null, ...more };
}

const kindOf = ({ reference }: Codec1Vector) => (reference === null ? "absolute" : "difference");

function patterns(dim: number, count: number, seed: number): Int16Array[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const raw = Float64Array.from({ length: dim }, () => gaussian(random));
    const norm = Math.sqrt(raw.reduce((sum, part) => sum + part * part, 0));
    return Int16Array.from(raw, (part) => Math.round((16384 * part) / norm));
  });
}

/** Patterns such as the model was learnt from. */
function modelled(count: number, seed: number): Int16Array[] {
  const random = seededRandom(seed);
  const images = Array.from({ length: count }, () =>
    MODEL.mean.map((mean, at) =>
      Math.round(mean + gaussian(random) * 2 ** ((MODEL.spectrum[at] ?? 0) / 32)),
    ),
  );
  return fromSpace(MODEL, images).map((vector) => Int16Array.from(vector, Math.round));
}

const absolute = (target: Int16Array): Codec1Vector => ({ target, reference: null });

const anyComponent = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -3000, max: 3000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 32767, -32768) },
);

interface Case {
  readonly options: Codec1Options;
  readonly vectors: Codec1Vector[];
}

function anyCase(dim: number, model: CodecModel | null, countMax: number): fc.Arbitrary<Case> {
  const vector = fc
    .array(anyComponent, { minLength: dim, maxLength: dim })
    .map((components) => Int16Array.from(components));
  const space = model?.version ?? 0;
  const reference = fc.option(vector.map((held) => ({ vector: held, space })));
  return fc.record({
    options: fc.record({
      dim: fc.constant(dim),
      bytesMax: fc.integer({ min: 0, max: 3000 }),
      states: fc.constantFrom(8 as const, 64 as const),
      mode: fc.constantFrom("tracking" as const, "unbiased" as const),
      model: fc.constant(model),
    }),
    vectors: fc.array(fc.record({ target: vector, reference }), {
      minLength: 1,
      maxLength: countMax,
    }),
  });
}

const anyInput: fc.Arbitrary<Case> = fc.oneof(
  anyCase(MODEL.dim, MODEL, 20),
  fc.integer({ min: 8, max: 40 }).chain((dim) => anyCase(dim, null, 20)),
  fc.integer({ min: 41, max: 512 }).chain((dim) => anyCase(dim, null, 2)),
);

describe("codec 1", () => {
  it("P6, P7: decodes to what the encoder said, within the budget, at the distortion it reports", () => {
    fc.assert(
      fc.property(anyInput, ({ options, vectors }) => {
        const encoded = encodeCodec1(vectors, options, CONTEXT);
        if (encoded === null) return;
        expect(encoded.bytes.length).toBeLessThanOrEqual(options.bytesMax);
        const kinds = vectors.map(kindOf);
        const { space, mode, residuals } = decodeCodec1(encoded.bytes, kinds, options.dim, CONTEXT);
        expect({ space, mode }).toEqual({ space: encoded.space, mode: options.mode });
        const held = residuals.map((residual, index) =>
          reconstruct(vectors[index]?.reference?.vector ?? null, residual),
        );
        expect(held).toEqual(encoded.reconstructions);

        const targets = vectors.map(({ target }) => target);
        const inSpace = options.model === null ? targets : toSpace(options.model, targets);
        let wrong = 0;
        let all = 0;
        for (const [index, target] of inSpace.entries()) {
          wrong += distortionOf(target, held[index] ?? []);
          all += distortionOf(target, new Int16Array(target.length));
        }
        expect(encoded.nmse).toBe(all === 0 ? 0 : wrong / all);
      }),
      { numRuns: 150 },
    );
  });

  it("with bytes enough, whatever comes in comes out", () => {
    fc.assert(
      fc.property(anyInput, ({ options, vectors }) => {
        const roomy = { ...options, mode: "tracking" as const, bytesMax: 60_000 };
        const encoded = encodeCodec1(vectors, roomy, CONTEXT);
        expect(encoded?.nmse).toBeLessThan(1e-4);
      }),
      { numRuns: 40 },
    );
  });

  it("truncated or mutated bytes are refused as the peer's fault, or are finite vectors", () => {
    const mutation = fc.record({ at: fc.nat(), to: fc.nat(255), cut: fc.nat(8) });
    fc.assert(
      fc.property(anyInput, mutation, ({ options, vectors }, { at, to, cut }) => {
        const encoded = encodeCodec1(vectors, { ...options, bytesMax: 2000 }, CONTEXT);
        if (encoded === null) return;
        const bytes = encoded.bytes.slice(0, encoded.bytes.length - cut);
        bytes[at % bytes.length] = to;
        const reason = reasonOf(() => {
          const decoded = decodeCodec1(bytes, vectors.map(kindOf), options.dim, CONTEXT);
          for (const residual of decoded.residuals) {
            for (const component of residual) expect(Math.abs(component)).toBeLessThan(2 ** 18);
          }
        });
        if (reason !== null) expect(reason).toMatch(/^codec\./);
      }),
      { numRuns: 400 },
    );
  });

  it("random bytes are refused as the peer's fault, or are vectors", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(20), (bytes, count) => {
        const kinds = Array.from({ length: count }, () => "absolute" as const);
        const reason = reasonOf(() => decodeCodec1(bytes, kinds, 24, CONTEXT));
        if (reason !== null) expect(reason).toMatch(/^codec\./);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["no head", "0000 0000", "codec.truncated"],
    ["flags that do not exist", "04 0000 0000 00008000", "codec.flags"],
    ["a model that is not at hand", "00 0900 0000 00008000", "codec.model"],
    ["a step that does not exist", "00 0000 0004 00008000", "codec.step"],
    ["no stream", "00 0000 0000", "codec.truncated"],
    ["bytes too many", "00 0000 0000 00008000 00", "codec.trailing"],
  ])("%s is refused", (_what, bytes, reason) => {
    expect(reasonOf(() => decodeCodec1(hex(bytes), [], 24, CONTEXT))).toBe(reason);
  });

  it("a model of another dimension is refused", () => {
    const bytes = hex("00 0300 0000 00008000");
    expect(reasonOf(() => decodeCodec1(bytes, [], 24, CONTEXT))).toBeNull();
    expect(reasonOf(() => decodeCodec1(bytes, [], 25, CONTEXT))).toBe("codec.model");
  });

  it("a reference in another space is the caller's fault", () => {
    const [target = new Int16Array(24)] = patterns(24, 1, 1);
    const vectors = [{ target, reference: { vector: target, space: 0 } }];
    const encode = () => encodeCodec1(vectors, optionsOf({ model: MODEL }), CONTEXT);
    expect(refusalOf(encode)).toBe("Serialization reference.space");
  });

  it("what cannot fit is null: too few bytes, or more numbers than a frame may hold", () => {
    const few = patterns(24, 3, 2).map(absolute);
    expect(encodeCodec1(few, optionsOf({ bytesMax: 8 }), CONTEXT)).toBeNull();
    const many = patterns(4096, 1, 3).flatMap((target) => Array<Int16Array>(33).fill(target));
    const options = optionsOf({ dim: 4096, bytesMax: 60_000 });
    expect(encodeCodec1(many.map(absolute), options, CONTEXT)).toBeNull();
  });

  it("what the receiver knows already takes next to nothing", () => {
    const targets = patterns(24, 10, 4);
    const held = toSpace(MODEL, targets);
    for (const model of [null, MODEL]) {
      const references = model === null ? targets : held;
      const vectors = targets.map((target, index) => {
        const vector = references[index] ?? target;
        return { target, reference: { vector, space: model?.version ?? 0 } };
      });
      const encoded = encodeCodec1(vectors, optionsOf({ model }), CONTEXT);
      expect(encoded?.nmse).toBe(0);
      expect(encoded?.bytes.length).toBeLessThan(30);
    }
  });

  it("spends no byte beyond the quality asked for, and nearly all bytes when it is out of reach", () => {
    const vectors = patterns(384, 10, 5).map(absolute);
    const options = optionsOf({ dim: 384, bytesMax: 900 });
    const all = encodeCodec1(vectors, options, CONTEXT);
    expect(all?.bytes.length).toBeGreaterThan(885);
    const enough = encodeCodec1(vectors, { ...options, quality: 0.3 }, CONTEXT);
    expect(enough?.nmse).toBeLessThan(0.305);
    expect(enough?.nmse).toBeGreaterThan(0.2);
    expect(enough?.bytes.length).toBeLessThan(550);
  });

  it("tracking: the error shrinks with every exchange", () => {
    const targets = patterns(384, 10, 6);
    let vectors = targets.map(absolute);
    let nmse = 1;
    for (let exchange = 0; exchange < 4; exchange += 1) {
      const encoded = encodeCodec1(vectors, optionsOf({ dim: 384, bytesMax: 855 }), CONTEXT);
      expect(encoded?.nmse).toBeLessThan(nmse / 5);
      nmse = encoded?.nmse ?? 1;
      vectors = targets.map((target, index) => {
        const vector = encoded?.reconstructions[index] ?? target;
        return { target, reference: { vector, space: 0 } };
      });
    }
  });

  it.each([
    ["the rotation", null],
    ["a model", MODEL],
  ])("unbiased, with %s: the mean of n senders nears the truth as 1/n", (_, model) => {
    const targets = model === null ? patterns(24, 4, 7) : modelled(4, 7);
    const truth = model === null ? targets : toSpace(model, targets);
    const sums = truth.map((vector) => new Float64Array(vector.length));
    const errors: number[] = [];
    for (let sender = 1; sender <= 1600; sender += 1) {
      const context = { ...CONTEXT, sender: `tenant/${sender}` };
      const options = optionsOf({ bytesMax: 32, mode: "unbiased", model });
      const encoded = encodeCodec1(targets.map(absolute), options, context);
      for (const [index, sum] of sums.entries()) {
        const vector = encoded?.reconstructions[index] ?? [];
        for (const [at, component] of vector.entries()) sum[at] = (sum[at] ?? 0) + component;
      }
      if (sender !== 1 && sender !== 40 && sender !== 1600) continue;
      const means = sums.map((sum) => sum.map((part) => part / sender));
      const wrong = means.map((mean, index) => distortionOf(mean, truth[index] ?? []));
      errors.push(wrong.reduce((total, part) => total + part, 0));
    }
    const [one = 0, some = 0, many = 1] = errors;
    const energy = truth.reduce((sum, vector) => sum + distortionOf(vector, new Int16Array(24)), 0);
    expect(one / energy).toBeGreaterThan(0.02);
    expect(some).toBeLessThan(one / 15);
    expect(many).toBeLessThan(one / 500);
  });

  it.each([
    [
      "tracking",
      "00 0000 3d01 06029a0138fdd08c86d7fa0ac4d4",
      [9062, -4408, -957, 6655, -215, 7397, 2462, -5150],
      [-8202, 5003, 11279, -8538, 810, -6455, -12732, 5634],
    ],
    [
      "unbiased",
      "01 0000 4f01 1e22 ea09ec7f7d2b7629fd52229e",
      [8042, -5010, 527, 8162, 527, 8162, 1572, -6063],
      [-9050, 5465, 12692, -9107, 1521, -8915, -11384, 6221],
    ],
  ])("golden: a frame in mode %s, an absolute vector and a difference", (mode, bytes, a, b) => {
    const context = { models: { get: () => null }, sender: "t/d", epoch: 1, seq: 1 };
    const decoded = decodeCodec1(hex(bytes), ["absolute", "difference"], 8, context);
    expect(decoded).toEqual({
      space: 0,
      mode,
      residuals: [Int32Array.from(a), Int32Array.from(b)],
    });
  });

  it("decoding needs no function that engines may round differently", () => {
    const frames = ["tracking", "unbiased"] as const;
    const encoded = frames.map((mode) =>
      encodeCodec1(patterns(24, 3, 8).map(absolute), optionsOf({ mode, model: MODEL }), CONTEXT),
    );
    for (const name of ["exp", "log", "log2", "log10", "pow", "sin", "cos", "tanh"] as const) {
      vi.spyOn(Math, name).mockImplementation(() => {
        throw new Error(`Math.${name} while decoding`);
      });
    }
    const decoded: unknown[] = [];
    try {
      const kinds = ["absolute", "absolute", "absolute"] as const;
      for (const frame of encoded) {
        decoded.push(decodeCodec1(frame?.bytes ?? hex(""), kinds, 24, CONTEXT).residuals);
      }
    } finally {
      vi.restoreAllMocks();
    }
    expect(decoded).toHaveLength(2);
  });
});
