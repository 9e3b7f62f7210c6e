/**
 * A wire frame as readable data: what its header says, what its body holds, and what is wrong with it.
 *
 * Pure. The decoders are those of the product, so what this accepts a gateway
 * and an aggregator accept, and a fault here carries the reason they refuse
 * with. What could be read before the fault is still shown.
 * @module
 */
import { limits, OmegaError, ProtocolError } from "../core/index.ts";
import {
  CODEC1,
  type CodecModels,
  decodeCbor,
  decodeDelta,
  decodeRefusal,
  decodeRelease,
  type Frame,
  type FrameHeader,
  GRID,
  peekFrame,
  type Release,
  unpackBody,
  type Zstd,
} from "../wire/index.ts";
import { deltaWithoutModel, lacksModel, modelContent, partContent } from "./frame-decode-codec1.ts";

export interface FrameDescription {
  readonly frameBytes: number;
  /** Null when not even the header could be read. */
  readonly header: FrameHeader | null;
  readonly body: {
    readonly compressed: boolean;
    readonly packedBytes: number;
    /** Null when the body cannot be unpacked. */
    readonly rawBytes: number | null;
  } | null;
  /** What the body says; its shape depends on `header.kind`. Null when it cannot be read. */
  readonly content: FrameContent | null;
  /** The first thing that is wrong; null for a good frame. */
  readonly fault: OmegaError | null;
}

type FrameContent =
  | {
      readonly dim: number;
      readonly upserts: readonly Entry[];
      readonly removals: readonly string[];
    }
  | { readonly dim: number; readonly patterns: readonly Entry[]; readonly trends: readonly Entry[] }
  | { readonly problems: readonly Entry[] }
  /** A release delta or a part whose base is not at hand: its columns as they travel. */
  | { readonly columns: Readonly<Record<string, unknown>> }
  | Entry;

/** One row of the content; vectors are told by their norm unless they were asked for. */
export type Entry = Readonly<Record<string, unknown>>;

export interface DescribeOptions {
  /** Down frames that came before, oldest first: what a release delta or a later part builds on. */
  readonly before: readonly Uint8Array[];
  /** Codec models at hand. */
  readonly models: CodecModels;
  /** `tenant/device` of a delta in unbiased mode, whose seeds are drawn from it. */
  readonly sender: string;
  /** Whole vectors in grid steps (2^-14 of a unit) instead of norms only. */
  readonly vectors: boolean;
}

/** Describes `bytes`. Throws only what is no fault of the frame, such as a missing zstd. */
export function describeFrame(
  bytes: Uint8Array,
  zstd: Zstd,
  options: DescribeOptions,
): FrameDescription {
  const nothing = { frameBytes: bytes.length, header: null, body: null, content: null };
  let frame: Frame;
  try {
    frame = peekFrame(bytes, limits.MODEL_FRAME_BYTES_MAX);
  } catch (error) {
    return { ...nothing, fault: asFault(error) };
  }
  const { header } = frame;
  const { compressed, bytes: packed } = frame.body;
  const described = { ...nothing, header };
  let rawBytes: number | null = null;
  const body = () => ({ compressed, packedBytes: packed.length, rawBytes });
  try {
    requireSize(header, bytes);
    rawBytes = header.kind === "model" ? packed.length : unpackBody(frame.body, zstd).length;
    const content =
      header.kind === "model"
        ? modelContent(bytes, (vector) => vectorOf(vector, options))
        : contentOf(frame, zstd, options);
    return { ...described, body: body(), content, fault: null };
  } catch (error) {
    return { ...described, body: body(), fault: asFault(error) };
  }
}

function asFault(error: unknown): OmegaError {
  if (error instanceof OmegaError) return error;
  throw error;
}

/** Every kind is held to its own budget (P7). */
function requireSize({ kind }: FrameHeader, bytes: Uint8Array): void {
  if (kind === "model") return;
  const isUp = kind === "delta" || kind === "pull";
  peekFrame(bytes, isUp ? limits.UP_FRAME_BYTES_MAX : limits.DOWN_FRAME_BYTES_MAX);
}

function contentOf(frame: Frame, zstd: Zstd, options: DescribeOptions): FrameContent {
  const { header } = frame;
  switch (header.kind) {
    case "delta":
      return deltaContent(frame, zstd, options);
    case "pull":
      if (frame.body.bytes.length === 0) return {};
      throw new ProtocolError("pull.body", "a pull has no body");
    case "refusal":
      return { problems: decodeRefusal(frame, zstd).map((problem) => ({ ...problem })) };
    case "snapshot":
    case "release-delta": {
      if (header.codec === CODEC1) {
        const { before, models } = options;
        return partContent(frame, before, models, (vector) => vectorOf(vector, options));
      }
      const isDifference = header.kind === "release-delta";
      if (isDifference && options.before.length === 0) {
        return columnsContent(unpackBody(frame.body, zstd));
      }
      return releaseContent(
        decodeRelease(frame, isDifference ? heldAfter(options.before, zstd) : null, zstd),
        options,
      );
    }
    case "model":
      throw new Error("assertion failed: a model is described from its whole frame");
  }
}

/** The release of rendition 0 that these frames leave a device with. */
function heldAfter(before: readonly Uint8Array[], zstd: Zstd): Release | null {
  let held: Release | null = null;
  for (const bytes of before) {
    held = decodeRelease(peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX), held, zstd);
  }
  return held;
}

function deltaContent(frame: Frame, zstd: Zstd, options: DescribeOptions): FrameContent {
  try {
    return decodedDelta(frame, zstd, options);
  } catch (error) {
    if (lacksModel(error)) return deltaWithoutModel(frame, zstd);
    throw error;
  }
}

function decodedDelta(frame: Frame, zstd: Zstd, options: DescribeOptions): FrameContent {
  const { dim, space, upserts, removals } = decodeDelta(frame, zstd, options);
  const rows = upserts.map(({ residual, referenceSeq, updatedAtS, ...upsert }) => ({
    ...upsert,
    updatedAt: new Date(updatedAtS * 1_000).toISOString(),
    ...(referenceSeq > 0 ? { referenceSeq } : {}),
    ...(residual === null ? {} : vectorOf(residual, options)),
  }));
  return { dim, ...(space === 0 ? {} : { space }), upserts: rows, removals };
}

function releaseContent(release: Release, options: DescribeOptions): FrameContent {
  const patterns = release.patterns.map(({ vector, ...pattern }) => ({
    ...pattern,
    ...vectorOf(vector, options),
  }));
  return { dim: release.dim, patterns, trends: release.trends.map((trend) => ({ ...trend })) };
}

/** Norm in units of the embedding, four digits. */
function vectorOf(vector: ArrayLike<number>, options: DescribeOptions): Entry {
  let squares = 0;
  for (let at = 0; at < vector.length; at += 1) squares += (vector[at] ?? 0) ** 2;
  const norm = Number((Math.sqrt(squares) / GRID).toFixed(4));
  return options.vectors ? { norm, vector: Array.from(vector) } : { norm };
}

/** PROTOCOL.md, release body. */
const RELEASE_COLUMNS: Readonly<Record<number, string>> = {
  0: "dim",
  1: "ids",
  2: "weights",
  3: "devices",
  4: "coded",
  5: "trend ids",
  6: "trend scores",
  7: "removals",
  8: "kept",
};

function columnsContent(raw: Uint8Array): FrameContent {
  if (raw.length === 0) return { columns: {} };
  const value = decodeCbor(raw);
  if (!(value instanceof Map)) throw new ProtocolError("release.shape", "expected a map");
  const named = [...value].map(([key, column]) => [RELEASE_COLUMNS[Number(key)] ?? key, column]);
  return { columns: Object.fromEntries(named) };
}
