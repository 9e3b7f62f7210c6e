/**
 * The release in a device's hand, in either rendition, and how it is kept on disk.
 *
 *   rendition 0   the snapshot frame itself: CE …
 *   rendition 1   01, then the frames it came in, each as uint32 little-endian length and bytes:
 *                 the parts of a snapshot, and of the differences that came after it
 *
 * Frames are kept as they came, because coding a release anew would cost more
 * than reading it did; only when the differences have outgrown the snapshot is
 * it put into a new one. Either way the bytes prove themselves by the content hash, so a
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
      readonly frames: Frames;
    };
export type Held1 = Extract<Held, { rendition: 1 }>;

/** What a release of rendition 1 came in: fed to a reader that holds nothing, they yield it. */
export interface Frames {
  readonly snapshot: readonly Uint8Array[];
  readonly differences: readonly Uint8Array[];
}

/** Differences may be as large as the snapshot they came after, and this much in any case. */
const DIFFERENCES_BYTES_MIN = 32 * 1024;
/** No frame begins so. */
const FRAMES = 1;

/** The bytes to keep on disk; {@link readCachedRelease} verifies them. */
export function encodeCachedRelease(held: Held, zstd: Zstd): Uint8Array {
  if (held.rendition === 0) return snapshotFrame(held, zstd);
  const out = new ByteWriter();
  out.u8(FRAMES);
  const { snapshot, differences } = held.frames;
  for (const frame of [...snapshot, ...differences]) out.bytes(frame);
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
  let parts: Uint8Array[] = [];
  let held: Held1 | null = null;
  while (!input.ended) {
    const bytes = input.bytes();
    const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
    const step = reader.feed(frame);
    parts.push(bytes);
    if (step.kind === "preview") continue;
    if (step.kind !== "release") return null;
    held = heldRelease1(step, models, framesAfter(held, frame.header.kind === "snapshot", parts));
    parts = [];
  }
  return parts.length === 0 ? held : null;
}

/** What a release came in whose last transition, from nothing or from `held`, came in `parts`. */
export function framesAfter(
  held: Held | null,
  fromNothing: boolean,
  parts: readonly Uint8Array[],
): Frames {
  if (fromNothing || held?.rendition !== 1) return { snapshot: parts, differences: [] };
  const { snapshot, differences } = held.frames;
  return { snapshot, differences: [...differences, ...parts] };
}

/** A release that a {@link TransitionReader} has verified with one of `models`. */
export function heldRelease1(
  verified: Extract<TransitionStep, { kind: "release" }>,
  models: CodecModels,
  frames: Frames,
): Held1 {
  const { release, contentHash: hash } = verified;
  const model = release.space === 0 ? null : models.get(release.space);
  const held = { rendition: 1, release, hash, model, frames } as const;
  const bytesMax = Math.max(DIFFERENCES_BYTES_MIN, bytesOf(frames.snapshot));
  if (bytesOf(frames.differences) <= bytesMax) return held;
  return { ...held, frames: { snapshot: snapshotFrames(held), differences: [] } };
}

function snapshotFrames({ release, model }: Held1): Uint8Array[] {
  return downFrames1(buildLadder1("", release, [], model), { base: 0, applied: null });
}

function bytesOf(frames: readonly Uint8Array[]): number {
  return frames.reduce((sum, frame) => sum + frame.byteLength, 0);
}
