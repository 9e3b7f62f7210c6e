import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits, seededRandom } from "../../src/core/index.ts";
import {
  type CborKey,
  type CborValue,
  codec0,
  type DeltaContent,
  decodeDelta,
  encodeCbor,
  encodeDelta,
  encodeFrame,
  encodePull,
  loadZstd,
  packBody,
  peekFrame,
  reconstruct,
  toGrid,
  type Upsert,
} from "../../src/wire/index.ts";
import { hex, refusalOf } from "../support/reason.ts";
import { anyDelta } from "./arbitraries.ts";

const zstd = await loadZstd();
const UP = limits.UP_FRAME_BYTES_MAX;
const AT = { epoch: 5, seq: 9, base: 0 };

const upsert = (change: Partial<Upsert> = {}): Upsert => ({
  id: "a",
  weight: 1,
  success: 0.7,
  samples: 10,
  updatedAtS: 1000,
  embedding: { mode: "absolute", target: Int16Array.from([1, 2, 3, 4, 5, 6, 7, 8]) },
  ...change,
});

/** One upsert in columns, as a device might write them, with some columns replaced or removed. */
function bodyWith(...changes: [number, CborValue | undefined][]): Uint8Array {
  const columns = new Map<CborKey, CborValue | undefined>([
    [0, 8],
    [1, ["a"]],
    [2, [1]],
    [3, [700]],
    [4, [10]],
    [5, [1000]],
    [6, [0]],
    [7, hex("0100 0102030405060708")],
    ...changes,
  ]);
  const present = [...columns].flatMap(([key, value]): [CborKey, CborValue][] =>
    value === undefined ? [] : [[key, value]],
  );
  return encodeCbor(new Map(present));
}

function decodeBody(raw: Uint8Array, codec = 0) {
  const frame = encodeFrame({ kind: "delta", ...AT, codec }, packBody(raw, zstd));
  return decodeDelta(peekFrame(frame, UP), zstd);
}

describe("deltas", () => {
  it("come back as they went, with every residual the encoder promised", () => {
    fc.assert(
      fc.property(anyDelta, ({ at, content }) => {
        const { frame, reconstructions } = encodeDelta(at, content, codec0, zstd);
        const decoded = decodeDelta(peekFrame(frame, UP), zstd);
        expect(decoded.header).toEqual({ kind: "delta", ...at, codec: 0 });
        expect(decoded.dim).toBe(content.dim);
        expect(decoded.removals).toEqual(content.removals);
        expect(decoded.upserts.length).toBe(content.upserts.length);
        for (const [index, sent] of content.upserts.entries()) {
          const { residual, mode, referenceSeq, ...rest } = decoded.upserts[index] ?? {};
          const { embedding, ...expected } = sent;
          expect(rest).toEqual(expected);
          expect(mode).toBe(embedding.mode);
          expect(referenceSeq).toBe(embedding.mode === "absolute" ? 0 : embedding.referenceSeq);
          if (embedding.mode === "kept") {
            expect(residual).toBeNull();
            expect(reconstructions.has(sent.id)).toBe(false);
            continue;
          }
          // P6: what the server will hold is what the device was told it holds.
          const reference = embedding.mode === "difference" ? embedding.reference : null;
          const held = reconstruct(reference, residual as Int32Array);
          expect(reconstructions.get(sent.id)).toEqual(held);
        }
      }),
    );
  });

  it("every proper prefix is refused by name", () => {
    fc.assert(
      fc.property(anyDelta, ({ at, content }) => {
        const { frame } = encodeDelta(at, content, codec0, zstd);
        for (let length = 0; length < frame.length; length += 1) {
          const prefix = frame.subarray(0, length);
          expect(refusalOf(() => decodeDelta(peekFrame(prefix, UP), zstd))).not.toBeNull();
        }
      }),
      { numRuns: 30 },
    );
  });

  it("P7: every frame fits its budget, and reports the distortion it paid", () => {
    fc.assert(
      fc.property(anyDelta, ({ at, content }) => {
        const { frame, reconstructions, nmse, rawBytes } = encodeDelta(at, content, codec0, zstd);
        expect(frame.length).toBeLessThanOrEqual(UP);
        let wrong = 0;
        let all = 0;
        for (const { id, embedding } of content.upserts) {
          if (embedding.mode === "kept") continue;
          const held = reconstructions.get(id) ?? new Int16Array(0);
          for (const [at, value] of embedding.target.entries()) {
            wrong += (value - (held[at] ?? 0)) ** 2;
            all += value ** 2;
          }
        }
        expect(nmse).toBe(all === 0 ? 0 : wrong / all);
        expect(rawBytes).toBe(reconstructions.size * content.dim * 4);
      }),
    );
  });

  it("P7: a delta that would pass its budget is not made", () => {
    const random = seededRandom(7);
    const many = Array.from({ length: 60 }, (_, index) => {
      const target = toGrid(Array.from({ length: 384 }, () => random.next() - 0.5));
      return upsert({ id: `p${index}`, embedding: { mode: "absolute", target } });
    });
    const encode = (upserts: Upsert[]) =>
      encodeDelta(AT, { dim: 384, upserts, removals: [] }, codec0, zstd);
    expect(refusalOf(() => encode(many))).toBe("Serialization frame.budget");
    expect(encode(many.slice(0, 30)).frame.length).toBeLessThanOrEqual(UP);
  });

  it("ten real-sized embeddings take a quarter of their float32 bytes, with error below 0.1 %", () => {
    const random = seededRandom(11);
    const upserts = Array.from({ length: 10 }, (_, index) => {
      const target = toGrid(Array.from({ length: 384 }, () => random.next() - 0.5));
      return upsert({ id: `p${index}`, embedding: { mode: "absolute", target } });
    });
    const { frame, rawBytes, nmse } = encodeDelta(
      AT,
      { dim: 384, upserts, removals: [] },
      codec0,
      zstd,
    );
    expect(rawBytes).toBe(15_360);
    expect(frame.length).toBeLessThan(rawBytes / 3.7);
    expect(nmse).toBeLessThan(0.001);
  });

  it("P6: coding against the register keeps the error from adding up", () => {
    const random = seededRandom(3);
    const target = toGrid(Array.from({ length: 64 }, () => random.next() - 0.5));
    let reference = toGrid(Array.from({ length: 64 }, () => random.next() - 0.5));
    let nmse = 1;
    for (let round = 0; round < 6; round += 1) {
      const embedding = { mode: "difference" as const, target, reference, referenceSeq: 1 };
      const content = { dim: 64, upserts: [upsert({ embedding })], removals: [] };
      const encoded = encodeDelta(AT, content, codec0, zstd);
      reference = encoded.reconstructions.get("a") ?? reference;
      expect(encoded.nmse).toBeLessThanOrEqual(nmse);
      nmse = encoded.nmse;
    }
    expect(nmse).toBe(0);
  });

  it("a resend is the same bytes (P2)", () => {
    fc.assert(
      fc.property(anyDelta, ({ at, content }) => {
        const again = encodeDelta(at, content, codec0, zstd).frame;
        expect(encodeDelta(at, content, codec0, zstd).frame).toEqual(again);
      }),
      { numRuns: 20 },
    );
  });
});

describe("a device's own mistakes are named before anything is sent", () => {
  const kept = (referenceSeq: number) => ({ embedding: { mode: "kept" as const, referenceSeq } });
  const one = (change: Partial<Upsert>): DeltaContent => ({
    dim: 8,
    upserts: [upsert(change)],
    removals: [],
  });
  it.each<[string, DeltaContent, string]>([
    ["no items", { dim: 8, upserts: [], removals: [] }, "delta.items"],
    [
      "too many items",
      { dim: 8, upserts: [], removals: Array.from({ length: 257 }, (_, index) => `p${index}`) },
      "delta.items",
    ],
    ["dimension 7", { dim: 7, upserts: [], removals: ["a"] }, "delta.dim"],
    ["another dimension", { dim: 9, upserts: [upsert()], removals: [] }, "delta.dim"],
    ["an id twice", { dim: 8, upserts: [upsert()], removals: ["a"] }, "delta.duplicate-id"],
    ["no id", one({ id: "a b" }), "delta.ids"],
    ["weight 0", one({ weight: 0 }), "delta.weights"],
    ["weight 1024", one({ weight: 1024 }), "delta.weights"],
    ["weight 1.5", one({ weight: 1.5 }), "delta.weights"],
    ["success 1.1", one({ success: 1.1 }), "delta.success"],
    ["success NaN", one({ success: Number.NaN }), "delta.success"],
    ["negative samples", one({ samples: -1 }), "delta.samples"],
    ["a time before 1970", one({ updatedAtS: -1 }), "delta.updated-at"],
    ["a reference to itself", one(kept(9)), "delta.refs"],
    ["a reference to seq 0", one(kept(0)), "delta.refs"],
  ])("%s", (_what, content, reason) => {
    expect(refusalOf(() => encodeDelta(AT, content, codec0, zstd))).toBe(`Serialization ${reason}`);
  });
});

describe("a delta body that breaks the schema is refused by field", () => {
  it("the body they are made from is good", () => {
    expect(decodeBody(bodyWith()).upserts).toEqual([
      {
        id: "a",
        weight: 1,
        success: 0.7,
        samples: 10,
        updatedAtS: 1000,
        mode: "absolute",
        referenceSeq: 0,
        residual: Int16Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
      },
    ]);
  });

  const noUpserts: [number, CborValue | undefined][] = [1, 2, 3, 4, 5, 6, 7].map((key) => [
    key,
    undefined,
  ]);
  const many = Array.from({ length: 257 }, (_, index) => `p${index}`);
  it.each<[string, Uint8Array, string]>([
    ["not a map", encodeCbor([]), "delta.shape"],
    ["an unknown column", bodyWith([9, [1]]), "delta.unknown-key"],
    ["no dimension", bodyWith([0, undefined]), "delta.dim"],
    ["dimension 4097", bodyWith([0, 4097]), "delta.dim"],
    ["another dimension than coded", bodyWith([0, 9]), "codec.length"],
    ["no items", bodyWith(...noUpserts), "delta.items"],
    ["an empty column", bodyWith([8, []]), "delta.removals"],
    ["a column that is no array", bodyWith([1, "a"]), "delta.ids"],
    ["257 removals", bodyWith(...noUpserts, [8, many]), "delta.removals"],
    ["257 items in two columns", bodyWith([8, many.slice(1)]), "delta.items"],
    ["an id twice", bodyWith([8, ["a"]]), "delta.duplicate-id"],
    ["an id with a slash", bodyWith([1, ["a/b"]]), "delta.ids"],
    ["an empty id", bodyWith([1, [""]]), "delta.ids"],
    ["an id of 65 characters", bodyWith([1, ["a".repeat(65)]]), "delta.ids"],
    ["a hex id as text", bodyWith([1, ["00c0ffee00c0ffee"]]), "delta.ids"],
    ["an id of 7 bytes", bodyWith([1, [new Uint8Array(7)]]), "delta.ids"],
    ["a column too short", bodyWith([2, undefined]), "delta.weights"],
    ["a column too long", bodyWith([2, [1, 1]]), "delta.weights"],
    ["weight 0", bodyWith([2, [0]]), "delta.weights"],
    ["weight 1024", bodyWith([2, [1024]]), "delta.weights"],
    ["a weight in words", bodyWith([2, ["1"]]), "delta.weights"],
    ["success 1001 ‰", bodyWith([3, [1001]]), "delta.success"],
    ["2^32 samples", bodyWith([4, [2 ** 32]]), "delta.samples"],
    ["a time before 1970", bodyWith([5, [-1]]), "delta.updated-at"],
    ["a reference to the delta itself", bodyWith([6, [9]]), "delta.refs"],
    ["a kept reference to the future", bodyWith([6, [-9]]), "delta.refs"],
    ["coded bytes for nothing", bodyWith([6, [-1]]), "delta.coded"],
    ["no coded bytes", bodyWith([7, undefined]), "delta.coded"],
    ["coded text", bodyWith([7, "x"]), "delta.coded"],
    [
      "THREATS 21: an embedding of zeros",
      bodyWith([7, hex("0100 0000000000000000")]),
      "pattern.zero",
    ],
  ])("%s", (_what, raw, reason) => {
    expect(refusalOf(() => decodeBody(raw))).toBe(`Protocol ${reason}`);
  });

  it("times leave their range only by being refused", () => {
    const two: [number, CborValue][] = [
      [1, ["a", "b"]],
      [2, [1, 1]],
      [3, [0, 0]],
      [4, [0, 0]],
      [6, [-1, -1]],
    ];
    const raw = (times: number[]) => bodyWith(...two, [7, undefined], [5, times]);
    expect(decodeBody(raw([100, -100])).upserts.map((item) => item.updatedAtS)).toEqual([100, 0]);
    expect(refusalOf(() => decodeBody(raw([100, -101])))).toBe("Protocol delta.updated-at");
    expect(refusalOf(() => decodeBody(raw([2 ** 40, 1])))).toBe("Protocol delta.updated-at");
  });

  it("an unknown codec is refused before its bytes are looked at", () => {
    expect(refusalOf(() => decodeBody(hex("ff"), 200))).toBe("Protocol codec.unknown");
  });

  it("a frame of another kind is refused", () => {
    const pull = peekFrame(encodePull(0), UP);
    expect(refusalOf(() => decodeDelta(pull, zstd))).toBe("Protocol frame.kind");
  });
});
