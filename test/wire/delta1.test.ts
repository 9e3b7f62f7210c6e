import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits, OmegaError } from "../../src/core/index.ts";
import {
  type CborKey,
  type CborValue,
  type CodecModel,
  codec0,
  type Delta1Options,
  type DeltaContent,
  type DeltaContext,
  decodeCbor,
  decodeDelta,
  encodeCbor,
  encodeDelta,
  encodeDelta1,
  encodeFrame,
  loadZstd,
  packBody,
  peekFrame,
  reconstruct,
  type Upsert,
  unpackBody,
} from "../../src/wire/index.ts";
import { refusalOf } from "../support/reason.ts";
import { anyDelta, type DeltaInput } from "./arbitraries.ts";
import { heldModel } from "./codec1/models.ts";

const zstd = await loadZstd();
const UP = limits.UP_FRAME_BYTES_MAX;
const SENDER = "acme/tv-1";
const VERSION = 300;
const AT = { epoch: 5, seq: 9, base: 0 };

const models = new Map<number, CodecModel>();
function modelOf(dim: number): CodecModel {
  const model = models.get(dim) ?? heldModel(dim, VERSION);
  models.set(dim, model);
  return model;
}

const contextOf = (model: CodecModel | null): DeltaContext => ({
  models: { get: (version) => (version === model?.version ? model : null) },
  sender: SENDER,
});

function optionsOf(model: CodecModel | null, change: Partial<Delta1Options> = {}): Delta1Options {
  return { bytesMax: UP, model, mode: "tracking", states: 8, sender: SENDER, ...change };
}

/** Any delta, some of its references in another space, and how it is to be coded. */
const anyCase = fc
  .record({
    input: anyDelta,
    spaces: fc.array(fc.constantFrom(0, VERSION, 7), { minLength: 8, maxLength: 8 }),
    withModel: fc.boolean(),
    states: fc.constantFrom(8 as const, 64 as const),
    mode: fc.constantFrom("tracking" as const, "unbiased" as const),
    bytesMax: fc.integer({ min: 60, max: 600 }),
  })
  .map(({ input, spaces, withModel, ...rest }) => {
    const { at, content } = input;
    const upserts = content.upserts.map((upsert, index): Upsert => {
      const { embedding } = upsert;
      if (embedding.mode !== "difference") return upsert;
      return { ...upsert, embedding: { ...embedding, referenceSpace: spaces[index] ?? 0 } };
    });
    const model = withModel ? modelOf(content.dim) : null;
    return { at, content: { ...content, upserts }, options: optionsOf(model, rest) };
  });

function encoded(at: DeltaInput["at"], content: DeltaContent, options: Delta1Options) {
  const delta = encodeDelta1(at, content, options, zstd);
  if (delta === null) throw new Error("it fits");
  return delta;
}

describe("deltas with codec 1", () => {
  it("come back as they went, in the frame's space, with every register the encoder promised", () => {
    fc.assert(
      fc.property(anyCase, ({ at, content, options: { bytesMax: _, ...rest } }) => {
        const options = { ...rest, bytesMax: UP };
        const { frame, space, reconstructions } = encoded(at, content, options);
        const decoded = decodeDelta(peekFrame(frame, UP), zstd, contextOf(options.model));
        expect(decoded.header).toEqual({ kind: "delta", minor: 1, ...at, codec: 1 });
        const { dim, removals, upserts } = decoded;
        expect({ dim, removals, count: upserts.length }).toEqual({
          dim: content.dim,
          removals: content.removals,
          count: content.upserts.length,
        });
        expect(decoded.space).toBe(space);
        const carries = content.upserts.some(({ embedding }) => embedding.mode !== "kept");
        expect(space).toBe(carries ? (options.model?.version ?? 0) : 0);
        for (const { residual, mode, referenceSeq, ...rest } of upserts) {
          const sent = content.upserts.find(({ id }) => id === rest.id) as Upsert;
          const { embedding, ...expected } = sent;
          expect(rest).toEqual(expected);
          const stays = embedding.mode === "difference" && embedding.referenceSpace === space;
          const wanted = embedding.mode === "difference" && !stays ? "absolute" : embedding.mode;
          expect(mode).toBe(wanted);
          expect(referenceSeq).toBe(
            embedding.mode === "absolute" || wanted === "absolute" ? 0 : embedding.referenceSeq,
          );
          if (residual === null) {
            expect(reconstructions.has(sent.id)).toBe(false);
            continue;
          }
          // P6: what the server will hold is what the device was told it holds.
          const reference = stays ? embedding.reference : null;
          expect(reconstructions.get(sent.id)).toEqual(reconstruct(reference, residual));
        }
      }),
    );
  });

  it("P7: the complete frame keeps its budget, or there is none", () => {
    let fitted = 0;
    let refused = 0;
    fc.assert(
      fc.property(anyCase, ({ at, content, options }) => {
        const delta = encodeDelta1(at, content, options, zstd);
        if (delta === null) refused += 1;
        else fitted += 1;
        expect(delta?.frame.length ?? 0).toBeLessThanOrEqual(options.bytesMax);
      }),
      { numRuns: 200 },
    );
    expect(Math.min(fitted, refused)).toBeGreaterThan(10);
  });

  it("more bytes are less distortion", () => {
    const upserts = Array.from({ length: 6 }, (_, index) => upsertOf(`p${index}`, index));
    const content = { dim: 32, upserts, removals: [] };
    const errors = [200, 300, 400].map(
      (bytesMax) => encoded(AT, content, optionsOf(modelOf(32), { bytesMax })).nmse,
    );
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[0]).toBeGreaterThan(2 * (errors[2] ?? 0));
  });

  it("one content is one frame, in whatever order its patterns are listed", () => {
    const upserts = [3, 1, 2, 1].map((time, index) =>
      upsertOf(`p${index}`, index, { updatedAtS: time }),
    );
    const frameOf = (list: readonly Upsert[]) =>
      encoded(AT, { dim: 32, upserts: list, removals: [] }, optionsOf(null)).frame;
    expect(frameOf([...upserts].reverse())).toEqual(frameOf(upserts));
  });

  it("every proper prefix is refused by name", () => {
    fc.assert(
      fc.property(anyCase, ({ at, content, options }) => {
        const { frame } = encoded(at, content, { ...options, bytesMax: UP });
        for (let length = 0; length < frame.length; length += 1) {
          const prefix = frame.subarray(0, length);
          const read = () => decodeDelta(peekFrame(prefix, UP), zstd, contextOf(options.model));
          expect(refusalOf(read)).not.toBeNull();
        }
      }),
      { numRuns: 30 },
    );
  });

  it("P8: whatever its bytes become, a frame is read or refused by name, nothing else", () => {
    fc.assert(
      fc.property(
        anyCase,
        fc.nat(),
        fc.nat({ max: 255 }),
        ({ at, content, options }, where, byte) => {
          const frame = encoded(at, content, { ...options, bytesMax: UP }).frame.slice();
          frame[where % frame.length] = byte;
          try {
            const delta = decodeDelta(peekFrame(frame, UP), zstd, contextOf(options.model));
            for (const { residual } of delta.upserts) {
              if (residual !== null) expect(residual.length).toBe(delta.dim);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(OmegaError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("a frame that names a model which is not at hand is refused as codec.model", () => {
    const content = { dim: 32, upserts: [upsertOf("a", 1)], removals: [] };
    const { frame } = encoded(AT, content, optionsOf(modelOf(32)));
    const read = (context?: DeltaContext) => decodeDelta(peekFrame(frame, UP), zstd, context);
    expect(refusalOf(() => read())).toBe("Protocol codec.model");
    expect(refusalOf(() => read(contextOf(null)))).toBe("Protocol codec.model");
    expect(read(contextOf(modelOf(32))).space).toBe(VERSION);
    // A model of another dimension is not the one it was coded with.
    const other = { ...contextOf(null), models: { get: () => modelOf(16) } };
    expect(refusalOf(() => read(other))).toMatch(/^Protocol codec\./);
  });

  it("what is wrong with its columns has the reasons of a delta", () => {
    const content = { dim: 32, upserts: [upsertOf("a", 1)], removals: ["b"] };
    const { frame } = encoded(AT, content, optionsOf(null));
    const body = unpackBody(peekFrame(frame, UP).body, zstd);
    const columns = (change: (body: Map<CborKey, CborValue>) => void) => {
      const map = decodedBody(body);
      change(map);
      const bytes = packBody(encodeCbor(map), zstd);
      const changed = encodeFrame({ kind: "delta", minor: 1, ...AT, codec: 1 }, bytes);
      return refusalOf(() => decodeDelta(peekFrame(changed, UP), zstd));
    };
    expect(columns(() => {})).toBeNull();
    expect(columns((map) => map.delete(9))).toBe("Protocol delta.columns");
    expect(columns((map) => map.set(9, new Uint8Array(0)))).toBe("Protocol delta.columns");
    expect(columns((map) => map.delete(7))).toBe("Protocol delta.coded");
    expect(columns((map) => map.delete(0))).toBe("Protocol delta.dim");
    expect(columns((map) => map.set(0, 4_097))).toBe("Protocol delta.dim");
    expect(columns((map) => map.set(1, ["a"]))).toBe("Protocol delta.unknown-key");
    const removed = { dim: 32, upserts: [], removals: ["b"] };
    const bare = decodedBody(
      unpackBody(peekFrame(encoded(AT, removed, optionsOf(null)).frame, UP).body, zstd),
    );
    expect(columns((map) => map.set(9, bare.get(9) as CborValue))).toBe("Protocol delta.coded");
  });

  it("the sender hears of values out of range, and codec 0 of references it cannot use", () => {
    const fault = (upsert: Upsert, model: CodecModel | null = null) =>
      refusalOf(() =>
        encodeDelta1(AT, { dim: 32, upserts: [upsert], removals: [] }, optionsOf(model), zstd),
      );
    expect(fault(upsertOf("a", 1))).toBeNull();
    expect(fault(upsertOf("a", 1, { weight: 1_024 }))).toBe("Serialization delta.weights");
    expect(fault(upsertOf("a b", 1))).toBe("Serialization delta.ids");
    expect(fault(upsertOf("a", 1), modelOf(16))).toBe("Serialization delta.dim");
    const target = vectorOf(1);
    const embedding = {
      mode: "difference" as const,
      ...{ target, reference: target, referenceSeq: 1, referenceSpace: VERSION },
    };
    const content = { dim: 32, upserts: [upsertOf("a", 1, { embedding })], removals: [] };
    expect(refusalOf(() => encodeDelta(AT, content, codec0, zstd))).toBe(
      "Serialization delta.refs",
    );
  });
});

function vectorOf(seed: number, dim = 32): Int16Array {
  return Int16Array.from({ length: dim }, (_, at) => Math.round(3_000 * Math.sin(seed * 7 + at)));
}

function upsertOf(id: string, seed: number, change: Partial<Upsert> = {}): Upsert {
  return {
    id,
    weight: 1,
    success: 0.7,
    samples: 10,
    updatedAtS: 1_800_000_000 + seed,
    embedding: { mode: "absolute", target: vectorOf(seed) },
    ...change,
  };
}

function decodedBody(bytes: Uint8Array): Map<CborKey, CborValue> {
  return new Map(decodeCbor(bytes) as Map<CborKey, CborValue>);
}
