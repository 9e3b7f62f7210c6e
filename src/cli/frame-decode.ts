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
  /** A release delta whose base is not at hand: its columns as they travel. */
  | { readonly columns: Readonly<Record<string, unknown>> }
  | Readonly<Record<string, never>>;

/** One row of the content; vectors are told by their norm unless they were asked for. */
export type Entry = Readonly<Record<string, unknown>>;

export interface DescribeOptions {
  /** What a release delta is applied to; null when not at hand. */
  readonly held: Release | null;
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
    frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
  } catch (error) {
    return { ...nothing, fault: asFault(error) };
  }
  const { header } = frame;
  const { compressed, bytes: packed } = frame.body;
  const described = { ...nothing, header };
  let rawBytes: number | null = null;
  const body = () => ({ compressed, packedBytes: packed.length, rawBytes });
  try {
    rawBytes = unpackBody(frame.body, zstd).length;
    const content = contentOf(frame, zstd, options);
    requireUpSize(header, bytes);
    return { ...described, body: body(), content, fault: null };
  } catch (error) {
    return { ...described, body: body(), fault: asFault(error) };
  }
}

/** The release in a snapshot frame, to apply release deltas to. Throws what `decodeRelease` throws. */
export function releaseOfSnapshot(bytes: Uint8Array, zstd: Zstd): Release {
  return decodeRelease(peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX), null, zstd);
}

function asFault(error: unknown): OmegaError {
  if (error instanceof OmegaError) return error;
  throw error;
}

/** Frames of devices are held to their own, smaller budget (P7). */
function requireUpSize(header: FrameHeader, bytes: Uint8Array): void {
  if (header.kind === "delta" || header.kind === "pull") {
    peekFrame(bytes, limits.UP_FRAME_BYTES_MAX);
  }
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
      return releaseContent(decodeRelease(frame, null, zstd), options);
    case "release-delta":
      if (options.held !== null) {
        return releaseContent(decodeRelease(frame, options.held, zstd), options);
      }
      return columnsContent(unpackBody(frame.body, zstd));
    case "model":
      return {};
  }
}

function deltaContent(frame: Frame, zstd: Zstd, options: DescribeOptions): FrameContent {
  const { dim, upserts, removals } = decodeDelta(frame, zstd);
  const rows = upserts.map(({ residual, referenceSeq, updatedAtS, ...upsert }) => ({
    ...upsert,
    updatedAt: new Date(updatedAtS * 1_000).toISOString(),
    ...(referenceSeq > 0 ? { referenceSeq } : {}),
    ...(residual === null ? {} : vectorOf(residual, options)),
  }));
  return { dim, upserts: rows, removals };
}

function releaseContent(release: Release, options: DescribeOptions): FrameContent {
  const patterns = release.patterns.map(({ vector, ...pattern }) => ({
    ...pattern,
    ...vectorOf(vector, options),
  }));
  return { dim: release.dim, patterns, trends: release.trends.map((trend) => ({ ...trend })) };
}

/** Norm in units of the embedding, four digits. */
function vectorOf(vector: Int16Array | Int32Array, options: DescribeOptions): Entry {
  let squares = 0;
  for (const steps of vector) squares += steps * steps;
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
