/**
 * What the golden frames were made from.
 *
 * The frames themselves are bytes in test/golden/v1 and are only ever read.
 * To look at what today's encoder makes of these cases:
 *
 *   OMEGA_GOLDEN_DIR=/tmp/golden npx vitest run --project pure test/wire/golden.test.ts
 *
 * writes them to a directory that must not exist yet.
 * @module
 */
import {
  codec0,
  contentHash,
  type DeltaContent,
  encodeDelta,
  encodeFrame,
  encodeModel,
  encodeModelFrame,
  encodePull,
  encodeRefusal,
  encodeReleaseDelta,
  encodeSnapshot,
  type GridVector,
  type PackedBody,
  type Position,
  quantiseRelease,
  type Release,
  type Zstd,
} from "../../src/wire/index.ts";

import { DELTA1_CASES } from "./golden-delta1.ts";
import { LAYERED_CASES } from "./golden-layers.ts";
import { MODEL } from "./golden-model.ts";
import { storingZstd } from "./golden-storing.ts";

export interface GoldenCase {
  readonly name: string;
  readonly description: string;
  readonly compressed: boolean;
  /** The golden snapshot that a release delta builds on. */
  readonly held?: string;
  readonly input: object;
  readonly frame: (zstd: Zstd) => Uint8Array;
}

const TRACE = Uint8Array.from([0xde, 0xad, 0xbe, 0xef]);
const APPLIED: Position = { epoch: 9_000_001, seq: 41 };

/** A smooth vector that differs per `phase`: no random numbers, so any language can rebuild it. */
function ramp(dim: number, phase: number): GridVector {
  return Int16Array.from({ length: dim }, (_, at) => ((at * 37 + phase * 101) % 255) * 8 - 1016);
}

const DELTA_ABSOLUTE: DeltaContent = {
  dim: 8,
  upserts: [
    {
      id: "evening-drama",
      weight: 12,
      success: 0.75,
      samples: 40,
      updatedAtS: 1_790_000_000,
      embedding: {
        mode: "absolute",
        target: Int16Array.from([8192, -8192, 4096, -4096, 1000, 0, -1, 16384]),
      },
    },
    {
      id: "00c0ffee00c0ffee",
      weight: 1023,
      success: 1,
      samples: 4_294_967_295,
      updatedAtS: 1_789_999_000,
      embedding: { mode: "absolute", target: Int16Array.from([5, 0, 0, 0, 0, 0, 0, -635]) },
    },
  ],
  removals: [],
};

const DELTA_MIXED: DeltaContent = {
  dim: 8,
  upserts: [
    {
      id: "evening-drama",
      weight: 13,
      success: 0.769,
      samples: 52,
      updatedAtS: 1_790_000_600,
      embedding: {
        mode: "difference",
        target: Int16Array.from([8200, -8100, 4000, -4000, 900, 10, -10, 16000]),
        reference: Int16Array.from([8192, -8192, 4096, -4096, 1000, 0, 0, 16384]),
        referenceSeq: 41,
      },
    },
    {
      id: "weekend_kids",
      weight: 1,
      success: 0,
      samples: 0,
      updatedAtS: 0,
      embedding: { mode: "kept", referenceSeq: 7 },
    },
    {
      id: "news",
      weight: 2,
      success: 0.5,
      samples: 300,
      updatedAtS: 1_790_000_601,
      embedding: { mode: "absolute", target: Int16Array.from([0, 0, 0, 254, 0, 0, -2, 0]) },
    },
  ],
  removals: ["late-night", "0123456789abcdef"],
};

const DELTA_REMOVALS: DeltaContent = { dim: 384, upserts: [], removals: ["a", "B-2"] };

const DELTA_LARGE: DeltaContent = {
  dim: 32,
  upserts: Array.from({ length: 12 }, (_, index) => ({
    id: `pattern-${index}`,
    weight: 10 + index,
    success: 0.7 + index / 100,
    samples: 10 * index,
    updatedAtS: 1_790_000_000 + 60 * index,
    embedding: { mode: "absolute" as const, target: ramp(32, index % 3) },
  })),
  removals: [],
};

const FIRST: Release = quantiseRelease(
  {
    version: 1,
    dim: 8,
    patterns: [
      {
        id: "evening-drama",
        weight: 5210,
        devices: 77,
        vector: Int16Array.from([8192, -8192, 4096, -4096, 1000, 0, -1, 16384]),
      },
      {
        id: "00c0ffee00c0ffee",
        weight: 60,
        devices: 50,
        vector: Int16Array.from([5, 0, 0, 0, 0, 0, 0, -635]),
      },
      {
        id: "weekend_kids",
        weight: 900,
        devices: 64,
        vector: Int16Array.from([0, 0, 12700, 0, -100, 0, 0, 0]),
      },
    ],
    trends: [
      { id: "tt0111161", score: 1000 },
      { id: "tt0068646", score: 412 },
    ],
  },
  codec0,
);

const SECOND: Release = quantiseRelease(
  {
    version: 2,
    dim: 8,
    patterns: [
      ...FIRST.patterns
        .filter((pattern) => pattern.id !== "weekend_kids")
        .map((pattern) =>
          pattern.id === "evening-drama" ? { ...pattern, weight: 5301, devices: 80 } : pattern,
        ),
      {
        id: "news",
        weight: 300,
        devices: 51,
        vector: Int16Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
      },
    ],
    trends: [{ id: "tt0068646", score: 998 }],
  },
  codec0,
);

function largeRelease(version: number, changed: number): Release {
  return quantiseRelease(
    {
      version,
      dim: 32,
      patterns: Array.from({ length: 20 }, (_, index) => ({
        id: `pattern-${index}`,
        weight: 1000 + index + (index < changed ? 1 : 0),
        devices: 50 + index,
        vector: ramp(32, index % 5),
      })),
      trends: Array.from({ length: 10 }, (_, index) => ({ id: `tt${index}`, score: 1000 - index })),
    },
    codec0,
  );
}

const LARGE_OLD = largeRelease(6, 0);
const LARGE_NEW = largeRelease(7, 15);
const EMPTY: Release = { version: 0, dim: 384, patterns: [], trends: [] };

const PROBLEMS = [
  {
    reason: "reference.missing",
    title: "A pattern is coded against a delta that never came",
    detail: "evening-drama, seq 41",
    position: { epoch: 9_000_001, seq: 42 },
  },
  { reason: "frame.magic", title: "Not a frame", position: null },
];

function packed(raw: Uint8Array, compressed: boolean, zstd: Zstd): PackedBody {
  return { compressed, bytes: compressed ? zstd.compress(raw) : raw };
}

function delta(
  name: string,
  description: string,
  at: { epoch: number; seq: number; base: number; trace?: Uint8Array },
  content: DeltaContent,
  compressed: boolean,
): GoldenCase {
  return {
    name,
    description,
    compressed,
    input: { at, content },
    frame: (zstd) => encodeDelta(at, content, codec0, compressed ? zstd : storingZstd).frame,
  };
}

function snapshot(
  name: string,
  description: string,
  release: Release,
  applied: Position | null,
  compressed: boolean,
): GoldenCase {
  const { version } = release;
  return {
    name,
    description,
    compressed,
    input: { applied, release },
    frame: (zstd) =>
      encodeFrame(
        { kind: "snapshot", version, contentHash: contentHash(release), codec: 0, applied },
        packed(encodeSnapshot(release, codec0), compressed, zstd),
      ),
  };
}

function releaseDelta(
  name: string,
  description: string,
  held: string,
  base: Release,
  next: Release,
  compressed: boolean,
): GoldenCase {
  const { version } = next;
  const same = base.version === version;
  return {
    name,
    description,
    compressed,
    held,
    input: { applied: APPLIED, next },
    frame: (zstd) =>
      encodeFrame(
        {
          kind: "release-delta",
          version,
          base: base.version,
          contentHash: contentHash(next),
          codec: 0,
          applied: APPLIED,
        },
        packed(same ? new Uint8Array(0) : encodeReleaseDelta(base, next, codec0), compressed, zstd),
      ),
  };
}

export const GOLDEN_CASES: readonly GoldenCase[] = [
  ...DELTA1_CASES,
  ...LAYERED_CASES,
  delta(
    "delta-absolute-stored",
    "The first delta of a device: two embeddings, one id of 16 hex digits, a trace.",
    { epoch: 9_000_001, seq: 1, base: 0, trace: TRACE },
    DELTA_ABSOLUTE,
    false,
  ),
  delta(
    "delta-mixed-stored",
    "A difference to seq 41, an embedding kept from seq 7, a new embedding, two removals.",
    { epoch: 9_000_001, seq: 42, base: 1 },
    DELTA_MIXED,
    false,
  ),
  delta(
    "delta-removals-stored",
    "Removals only: no embedding column at all.",
    { epoch: 1, seq: 300, base: 65_536 },
    DELTA_REMOVALS,
    false,
  ),
  delta(
    "delta-absolute-compressed",
    "Twelve embeddings of 32 components, the body compressed with zstd.",
    { epoch: 281_474_976_710_655, seq: 65_535, base: 7 },
    DELTA_LARGE,
    true,
  ),
  delta(
    "delta-acceptable-stored",
    "One embedding of norm below 1, first of its device: what a server without any state applies.",
    { epoch: 9_000_001, seq: 1, base: 0 },
    { ...DELTA_ABSOLUTE, upserts: DELTA_ABSOLUTE.upserts.slice(1) },
    false,
  ),
  {
    name: "pull",
    description: "A device that holds nothing asks for a release.",
    compressed: false,
    input: { base: 0 },
    frame: () => encodePull(0),
  },
  {
    name: "pull-trace",
    description: "A device that holds version 1000 asks for news, with a trace.",
    compressed: false,
    input: { base: 1000, trace: TRACE },
    frame: () => encodePull(1000, { trace: TRACE }),
  },
  {
    name: "model",
    description: "Codec model 7 of a tenant whose patterns have 8 components.",
    compressed: false,
    input: { ...MODEL, basis: Array.from(MODEL.basis) },
    frame: () => encodeModelFrame(MODEL.version, encodeModel(MODEL)),
  },
  {
    name: "pull-minor",
    description: "The first frame of a connection whose device speaks minor 1 and holds version 7.",
    compressed: false,
    input: { base: 7, minor: 1 },
    frame: () => encodePull(7, { minor: 1 }),
  },
  snapshot("snapshot-empty", "What a device gets before the first release.", EMPTY, null, false),
  snapshot(
    "snapshot-stored",
    "Version 1 whole: three patterns, two trends, the watermark of the device.",
    FIRST,
    { epoch: 9_000_001, seq: 0 },
    false,
  ),
  snapshot(
    "snapshot-compressed",
    "Version 6 whole: twenty patterns of 32 components, ten trends, compressed.",
    LARGE_OLD,
    null,
    true,
  ),
  releaseDelta(
    "release-delta-stored",
    "Version 1 to 2: one pattern keeps its vector, one is new, one goes; trends whole.",
    "snapshot-stored",
    FIRST,
    SECOND,
    false,
  ),
  releaseDelta(
    "release-delta-compressed",
    "Version 6 to 7: fifteen weights changed, compressed.",
    "snapshot-compressed",
    LARGE_OLD,
    LARGE_NEW,
    true,
  ),
  releaseDelta(
    "release-delta-unchanged",
    "The device is up to date: an empty body that only carries the watermark.",
    "snapshot-stored",
    FIRST,
    FIRST,
    false,
  ),
  {
    name: "refusal",
    description: "Two problems, one of them with the position of the refused delta.",
    compressed: false,
    input: { problems: PROBLEMS },
    frame: () => encodeRefusal(PROBLEMS),
  },
];
