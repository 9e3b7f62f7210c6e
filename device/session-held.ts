/**
 * The release in a device's hand, in either rendition, and how it is kept on disk.
 *
 *   rendition 0   the snapshot frame itself: CE …
 *   rendition 1   01, then each part of the snapshot as uint32 little-endian length and frame
 *
 * Either way the bytes prove themselves by the content hash, so a damaged cache
 * costs a snapshot and nothing else.
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
    };

const PARTS = 1;

/** The bytes to keep on disk; {@link readCachedRelease} verifies them. */
export function encodeCachedRelease(held: Held, zstd: Zstd): Uint8Array {
  if (held.rendition === 0) return snapshotFrame(held, zstd);
  const ladder = buildLadder1("", held.release, [], held.model);
  const out = new ByteWriter();
  out.u8(PARTS);
  for (const frame of downFrames1(ladder, { base: 0, applied: null })) out.bytes(frame);
  return out.done();
}

/** A release kept on disk; null when it is damaged, not one, or of a model that is not at hand. */
export function readCachedRelease(bytes: Uint8Array, models: CodecModels, zstd: Zstd): Held | null {
  try {
    return bytes[0] === PARTS ? readParts(bytes, models) : readSnapshot(bytes, zstd);
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

function readParts(bytes: Uint8Array, models: CodecModels): Held | null {
  const input = new ByteReader(bytes.subarray(1));
  const reader = new TransitionReader(null, models);
  for (;;) {
    const step = reader.feed(peekFrame(input.bytes(), limits.DOWN_FRAME_BYTES_MAX));
    if (step.kind === "preview") continue;
    if (step.kind !== "release") return null;
    input.end();
    return heldRelease1(step.release, step.contentHash, models);
  }
}

/** A release that a {@link TransitionReader} has verified with one of `models`. */
export function heldRelease1(release: Release1, hash: Uint8Array, models: CodecModels): Held {
  const model = release.space === 0 ? null : models.get(release.space);
  return { rendition: 1, release, hash, model };
}

/** What is watched everywhere, best first. */
export function trendsOf(held: Held | null): readonly Trend[] {
  return held?.release.trends ?? [];
}
