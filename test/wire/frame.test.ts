import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import {
  type CborKey,
  type CborValue,
  COUNTER_MAX,
  encodeCbor,
  encodeFrame,
  encodePull,
  type FrameHeader,
  loadZstd,
  MODEL_VERSION_MAX,
  packBody,
  peekFrame,
  unpackBody,
} from "../../src/wire/index.ts";
import { hex, refusalOf } from "../support/reason.ts";
import { anyPosition } from "./arbitraries.ts";

const zstd = await loadZstd();
const MAX = limits.DOWN_FRAME_BYTES_MAX;
const counter = fc.integer({ min: 1, max: COUNTER_MAX });
const trace = fc.uint8Array({ minLength: 1, maxLength: 16 });
const contentHash = fc.uint8Array({ minLength: 8, maxLength: 8 });
const codec = fc.nat(255);
const applied = fc.option(anyPosition, { nil: null });

const anyKind: fc.Arbitrary<FrameHeader> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("delta" as const),
      epoch: counter,
      seq: counter,
      base: counter,
      codec,
      trace,
    },
    { requiredKeys: ["kind", "epoch", "seq", "base", "codec"] },
  ),
  fc.record(
    { kind: fc.constant("pull" as const), base: fc.nat(), trace },
    { requiredKeys: ["kind", "base"] },
  ),
  fc.record({
    kind: fc.constant("snapshot" as const),
    version: fc.nat(),
    contentHash,
    codec,
    applied,
  }),
  fc.record({
    kind: fc.constant("release-delta" as const),
    version: counter,
    base: counter,
    contentHash,
    codec,
    applied,
  }),
  fc.constant({ kind: "refusal" as const }),
  fc.record({
    kind: fc.constant("model" as const),
    version: fc.integer({ min: 1, max: MODEL_VERSION_MAX }),
    contentHash,
  }),
);
/** Any header may name a minor. */
const anyMinor = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: null });
const anyHeader = fc
  .tuple(anyKind, anyMinor)
  .map(([header, minor]): FrameHeader => (minor === null ? header : { ...header, minor }));

/** A frame with this header map and no body. */
function withHeader(entries: [CborKey, CborValue][]): Uint8Array {
  return new Uint8Array([0xce, 1, 0, ...encodeCbor(new Map(entries))]);
}

const DELTA: [CborKey, CborValue][] = [
  [0, 1],
  [2, 1],
  [3, 1],
  [4, 0],
  [6, 0],
];

/** The good delta header with some entries replaced or added. */
function deltaWith(...changes: [CborKey, CborValue][]): Uint8Array {
  return withHeader([...new Map([...DELTA, ...changes])]);
}

/** The same for the header of a model. */
function modelWith(...changes: [CborKey, CborValue][]): Uint8Array {
  const model: [CborKey, CborValue][] = [
    [0, 6],
    [5, 1],
    [9, new Uint8Array(8)],
  ];
  return withHeader([...new Map([...model, ...changes])]);
}

describe("frames", () => {
  it("a header and a body come back as they went, whatever they are", () => {
    fc.assert(
      fc.property(
        anyHeader,
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        (header, bytes, z) => {
          const frame = encodeFrame(header, { compressed: z, bytes });
          expect(frame.subarray(0, 3)).toEqual(hex(z ? "ce0101" : "ce0100"));
          expect(peekFrame(frame, MAX)).toEqual({ header, body: { compressed: z, bytes } });
        },
      ),
    );
  });

  it("the largest header of every kind fits its limit", () => {
    const applied = { epoch: COUNTER_MAX, seq: COUNTER_MAX };
    const wide = { epoch: COUNTER_MAX, seq: COUNTER_MAX, base: COUNTER_MAX, codec: 255 };
    const delta: FrameHeader = { kind: "delta", ...wide, trace: new Uint8Array(16) };
    const release: FrameHeader = {
      kind: "release-delta",
      version: COUNTER_MAX,
      base: COUNTER_MAX,
      codec: 255,
      contentHash: new Uint8Array(8),
      applied,
    };
    for (const header of [delta, release]) {
      const frame = encodeFrame(header, { compressed: false, bytes: new Uint8Array(0) });
      expect(frame.length - 3).toBeLessThanOrEqual(limits.HEADER_BYTES_MAX);
    }
  });

  it("every prefix that ends within the header is refused", () => {
    fc.assert(
      fc.property(anyHeader, (header) => {
        const frame = encodeFrame(header, { compressed: false, bytes: new Uint8Array(0) });
        for (let length = 0; length < frame.length; length += 1) {
          expect(refusalOf(() => peekFrame(frame.subarray(0, length), MAX))).toMatch(
            /^(Protocol frame\.truncated|Serialization cbor\.(truncated|length))$/,
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ["an empty payload", hex(""), "Protocol frame.truncated"],
    ["another magic", hex("cf0100a10005"), "Protocol frame.magic"],
    ["JSON", new TextEncoder().encode('{"patterns":[]}'), "Protocol frame.magic"],
    ["version 0", hex("ce0000a10005"), "Protocol frame.version"],
    ["version 2", hex("ce0200a10005"), "Protocol frame.version"],
    ["the reserved dictionary flag", hex("ce0102a10005"), "Protocol frame.flags"],
    ["an unknown flag", hex("ce0180a10005"), "Protocol frame.flags"],
    ["a header that is an array", hex("ce010080"), "Protocol header.shape"],
    ["an indefinite header", hex("ce0100bf0005ff"), "Serialization cbor.indefinite"],
    ["a header above its limit", deltaWith([40, new Uint8Array(200)]), "Protocol header.size"],
    ["no kind", withHeader([]), "Protocol header.kind"],
    ["kind 0", withHeader([[0, 0]]), "Protocol header.kind"],
    ["kind 7", withHeader([[0, 7]]), "Protocol header.kind"],
    ["model 0", modelWith([5, 0]), "Protocol header.version"],
    ["a model above 65535", modelWith([5, 65_536]), "Protocol header.version"],
    ["a model with a codec", modelWith([6, 1]), "Protocol header.unknown-key"],
    [
      "a model without its hash",
      withHeader([
        [0, 6],
        [5, 1],
      ]),
      "Protocol header.content-hash",
    ],
    ["a kind in words", withHeader([[0, "delta"]]), "Protocol header.kind"],
    ["a written minor of 0", deltaWith([1, 0]), "Protocol header.minor"],
    ["a dictionary id", deltaWith([7, 1]), "Protocol header.dictionary"],
    ["an unknown key below 32", deltaWith([31, 1]), "Protocol header.unknown-key"],
    ["a key of another kind", deltaWith([5, 1]), "Protocol header.unknown-key"],
    ["a text key", deltaWith(["a", 1]), "Protocol header.unknown-key"],
    ["an empty trace", deltaWith([8, new Uint8Array(0)]), "Protocol header.trace"],
    ["a long trace", deltaWith([8, new Uint8Array(17)]), "Protocol header.trace"],
    ["a codec above 255", deltaWith([6, 256]), "Protocol header.codec"],
    ["no codec", withHeader(DELTA.filter(([key]) => key !== 6)), "Protocol header.codec"],
  ])("%s is refused", (_what, bytes, refusal) => {
    expect(refusalOf(() => peekFrame(bytes, MAX))).toBe(refusal);
  });

  // THREATS 20: what a position may not be.
  it.each<[string, CborValue, string]>([
    ["0", 0, "Protocol header.seq"],
    ["−1", -1, "Protocol header.seq"],
    ['"1"', "1", "Protocol header.seq"],
    ["null", null, "Protocol header.seq"],
    ["2^48", 2 ** 48, "Protocol header.seq"],
    ["2^53 − 1", 2 ** 53 - 1, "Protocol header.seq"],
  ])("THREATS 20: seq %s is refused", (_what, seq, refusal) => {
    expect(refusalOf(() => peekFrame(deltaWith([3, seq]), MAX))).toBe(refusal);
  });

  it.each([
    [
      "2^53",
      "ce0100a5 0001 0201 031b0020000000000000 0400 0600",
      "Serialization cbor.integer-range",
    ],
    ["1.5", "ce0100a5 0001 0201 03f93e00 0400 0600", "Serialization cbor.float"],
    ["a bignum", "ce0100a5 0001 0201 03c24101 0400 0600", "Serialization cbor.tag"],
  ])("THREATS 20: seq %s is refused", (_what, bytes, refusal) => {
    expect(refusalOf(() => peekFrame(hex(bytes), MAX))).toBe(refusal);
  });

  it("a later minor may add keys from 32 up, and this one ignores them", () => {
    const frame = peekFrame(deltaWith([1, 3], [32, [1, 2]], [99, "x"]), MAX);
    const header = { kind: "delta", minor: 3, epoch: 1, seq: 1, base: 0, codec: 0 };
    expect(frame.header).toEqual(header);
  });

  it("P8: a frame above its limit is refused before anything is read", () => {
    const bytes = new Uint8Array(limits.UP_FRAME_BYTES_MAX + 1);
    expect(refusalOf(() => peekFrame(bytes, limits.UP_FRAME_BYTES_MAX))).toBe(
      "Protocol frame.size",
    );
  });

  it("a pull is a dozen bytes", () => {
    expect(encodePull(0)).toEqual(hex("ce0100 a2 0002 0400"));
    expect(peekFrame(encodePull(7, { trace: hex("0102") }), 100).header).toEqual({
      kind: "pull",
      base: 7,
      trace: hex("0102"),
    });
  });

  it("a pull of a device that speaks a later minor says so, and minor 0 is left out", () => {
    expect(encodePull(0, { minor: 1 })).toEqual(hex("ce0100 a3 0002 0101 0400"));
    expect(encodePull(0, { minor: 0 })).toEqual(encodePull(0));
    const { header } = peekFrame(encodePull(7, { minor: 2 }), 100);
    expect(header).toEqual({ kind: "pull", minor: 2, base: 7 });
  });
});

describe("bodies", () => {
  it("what zstd shrinks is compressed, the rest is stored; both come back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (raw) => {
        const body = packBody(raw, zstd);
        expect(body.bytes.length).toBeLessThanOrEqual(raw.length);
        expect(unpackBody(body, zstd)).toEqual(raw);
      }),
    );
    expect(packBody(new Uint8Array(1000), zstd).compressed).toBe(true);
    expect(packBody(hex("0102"), zstd).compressed).toBe(false);
  });

  it("P7: a body above 64 KiB is not packed, P8: nor unpacked", () => {
    const raw = new Uint8Array(limits.BODY_BYTES_MAX + 1);
    expect(refusalOf(() => packBody(raw, zstd))).toBe("Serialization frame.budget");
    const stored = { compressed: false, bytes: raw };
    expect(refusalOf(() => unpackBody(stored, zstd))).toBe("Protocol frame.size");
    const compressed = { compressed: true, bytes: zstd.compress(raw) };
    expect(refusalOf(() => unpackBody(compressed, zstd))).toBe("Compression zstd.too-large");
  });
});
