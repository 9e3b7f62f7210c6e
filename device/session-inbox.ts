/**
 * What a down frame means to a device that already holds something.
 *
 * P5: versions never fall. A frame of an older release still carries a
 * watermark worth having; a frame that does not build on what is held asks
 * for a pull; a frame whose content does not hash to what it claims is broken.
 * @module
 */
import { limits, OmegaError, ProtocolError, sameBytes } from "../src/core/index.ts";
import {
  codecById,
  decodeRelease,
  encodeFrame,
  encodeSnapshot,
  type Position,
  packBody,
  peekFrame,
  type Release,
  type Zstd,
} from "../src/wire/index.ts";

export type DownFrame =
  /** A release to take. */
  | { readonly kind: "release"; readonly held: Held; readonly applied: Position | null }
  /** The release already held. */
  | { readonly kind: "same"; readonly applied: Position | null }
  /** An older release than one this device has had. */
  | { readonly kind: "older"; readonly version: number; readonly applied: Position | null }
  /** A difference to something else than what is held: pull with the base truly held. */
  | { readonly kind: "base"; readonly applied: Position | null }
  | { readonly kind: "broken"; readonly error: OmegaError };

/** A release in the hand, with what its frame said of it. */
export interface Held {
  readonly release: Release;
  readonly hash: Uint8Array;
  /** The codec whose fixed points its vectors are. */
  readonly codec: number;
}

/** Reads one down frame against the release held (null: none) and the highest version ever held. */
export function readDown(
  bytes: Uint8Array,
  held: Held | null,
  floor: number,
  zstd: Zstd,
): DownFrame {
  try {
    const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
    const { header } = frame;
    if (header.kind !== "snapshot" && header.kind !== "release-delta") {
      throw new ProtocolError("down.kind", `a ${header.kind} frame has no place on a down topic`);
    }
    const { applied, version } = header;
    const heldVersion = held?.release.version ?? 0;
    if (version < Math.max(floor, heldVersion)) return { kind: "older", version, applied };
    if (version === heldVersion && sameHash(header.contentHash, held)) {
      return { kind: "same", applied };
    }
    if (header.kind === "release-delta") {
      if (held === null && version === 0) return { kind: "same", applied };
      // "No change" with another hash: the same number names other content here, so start over.
      const builds = header.base === heldVersion && header.base !== version;
      if (held === null || !builds) return { kind: "base", applied };
    }
    const release = decodeRelease(frame, held?.release ?? null, zstd);
    const taken = { release, hash: header.contentHash.slice(), codec: header.codec };
    return { kind: "release", held: taken, applied };
  } catch (error) {
    if (error instanceof OmegaError) return { kind: "broken", error };
    throw error;
  }
}

function sameHash(hash: Uint8Array, held: Held | null): boolean {
  return held !== null && sameBytes(hash, held.hash);
}

/** The release as a snapshot frame, to be kept on disk; {@link readCachedRelease} verifies its hash. */
export function encodeCachedRelease({ release, hash, codec }: Held, zstd: Zstd): Uint8Array {
  const { version } = release;
  return encodeFrame(
    { kind: "snapshot", version, contentHash: hash, codec, applied: null },
    packBody(encodeSnapshot(release, codecById(codec)), zstd),
  );
}

/** A release kept on disk, or null when it is damaged or not one. */
export function readCachedRelease(bytes: Uint8Array, zstd: Zstd): Held | null {
  const read = readDown(bytes, null, 0, zstd);
  return read.kind === "release" ? read.held : null;
}
