/**
 * The release in a device's hand, in either rendition, and how it is kept on disk.
 *
 *   rendition 0   the snapshot frame itself: CE …
 *   rendition 1   01, then the frames it came in, each as uint32 little-endian length and bytes:
 *                 the parts of a snapshot, and of the differences that came after it
 *
 * Frames are kept as they came, because coding a release anew would cost more
 * than reading it did; only when they have become many is it put into one
 * snapshot. Either way the bytes prove themselves by the content hash, so a
 * damaged cache costs a snapshot and nothing else.
 * @module
 */
import { limits, OmegaError, ProtocolError } from "../src/core/index.ts";
import {
  buildLadder1,
  type CodecModel,
  type CodecModels,
  codecById,
  decodeRelease,
  downFrames1,
  encodeFrame,
  encodeSnapshot,
  packBody,
  peekFrame,
  type Release,
  type Release1,
  TransitionReader,
  type TransitionStep,
  type Trend,
  type Zstd,
} from "../src/wire/index.ts";
import { ByteReader, ByteWriter } from "./session-bytes.ts";

/** A verified release, with what its frames said of it. */
export type Held =
  | {
      readonly rendition: 0;
      readonly release: Release;
      readonly hash: Uint8Array;
      /** The codec whose fixed points its vectors are. */
      readonly codec: number;
    }
  | {
      readonly rendition: 1;
      readonly release: Release1;
      readonly hash: Uint8Array;
      /** The model whose space its vectors are in; null is none. */
      readonly model: CodecModel | null;
      /** Fed to a reader that holds nothing, they yield the release. */
      readonly frames: readonly Uint8Array[];
    };
export type Held1 = Extract<Held, { rendition: 1 }>;

/** More frames than this are put into one snapshot. */
const FRAMES_BYTES_MAX = 48 * 1024;
/** No frame begins so. */
const FRAMES = 1;

/** The bytes to keep on disk; {@link readCachedRelease} verifies them. */
export function encodeCachedRelease(held: Held, zstd: Zstd): Uint8Array {
  if (held.rendition === 0) return snapshotFrame(held, zstd);
  const out = new ByteWriter();
  out.u8(FRAMES);
  for (const frame of held.frames) out.bytes(frame);
  return out.done();
}

/** A release kept on disk; null when it is damaged, not one, or of a model that is not at hand. */
export function readCachedRelease(bytes: Uint8Array, models: CodecModels, zstd: Zstd): Held | null {
  try {
    return bytes[0] === FRAMES ? readFrames(bytes, models) : readSnapshot(bytes, zstd);
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}

function snapshotFrame(
  { release, hash, codec }: Extract<Held, { rendition: 0 }>,
  zstd: Zstd,
): Uint8Array {
  const { version } = release;
  return encodeFrame(
    { kind: "snapshot", version, contentHash: hash, codec, applied: null },
    packBody(encodeSnapshot(release, codecById(codec)), zstd),
  );
}

function readSnapshot(bytes: Uint8Array, zstd: Zstd): Held {
  const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
  const { header } = frame;
  if (header.kind !== "snapshot") throw new ProtocolError("frame.kind", "not a snapshot");
  const release = decodeRelease(frame, null, zstd);
  return { rendition: 0, release, hash: header.contentHash, codec: header.codec };
}

function readFrames(bytes: Uint8Array, models: CodecModels): Held | null {
  const input = new ByteReader(bytes.subarray(1));
  const reader = new TransitionReader(null, models);
  const frames: Uint8Array[] = [];
  let held: Held1 | null = null;
  while (!input.ended) {
    const frame = input.bytes();
    frames.push(frame);
    const step = reader.feed(peekFrame(frame, limits.DOWN_FRAME_BYTES_MAX));
    if (step.kind !== "release" && step.kind !== "preview") return null;
    held = step.kind === "preview" ? null : heldRelease1(step, models, frames);
  }
  return held;
}

/** A release that a {@link TransitionReader} has verified with one of `models`; `frames` lead to it from nothing. */
export function heldRelease1(
  verified: Extract<TransitionStep, { kind: "release" }>,
  models: CodecModels,
  frames: readonly Uint8Array[],
): Held1 {
  const { release, contentHash: hash } = verified;
  const model = release.space === 0 ? null : models.get(release.space);
  const held = { rendition: 1, release, hash, model, frames } as const;
  const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  return bytes <= FRAMES_BYTES_MAX ? held : { ...held, frames: snapshotFrames(held) };
}

function snapshotFrames({ release, model }: Held1): Uint8Array[] {
  return downFrames1(buildLadder1("", release, [], model), { base: 0, applied: null });
}

/** What is watched everywhere, best first. */
export function trendsOf(held: Held | null): readonly Trend[] {
  return held?.release.trends ?? [];
}
