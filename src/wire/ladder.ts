/**
 * The version ladder: every body a release needs, packed once and shared by
 * every device that stands on the same rung. Only the header differs, so
 * answering a million SUBSCRIBEs costs a million small headers and no codec.
 * @module
 */
import { limits, OmegaError, SerializationError } from "../core/index.ts";
import type { Codec } from "./codec.ts";
import { codec0 } from "./codec0.ts";
import { contentHash } from "./content-hash.ts";
import { bodyBytesMax, EMPTY_BODY, encodeFrame, type PackedBody, packBody } from "./frame.ts";
import type { Position } from "./header.ts";
import type { Release } from "./release.ts";
import { encodeReleaseDelta, encodeSnapshot } from "./release-encode.ts";
import type { Zstd } from "./zstd.ts";

export interface Ladder {
  readonly tenant: string;
  readonly version: number;
  readonly contentHash: Uint8Array;
  /** The codec of every body. */
  readonly codec: number;
  readonly snapshot: PackedBody;
  /** By base version. */
  readonly deltas: ReadonlyMap<number, PackedBody>;
}

/**
 * Packs `release` (from `quantiseRelease`) and its difference to each of `bases`. A rung is left
 * out when the dimension changed or when it would be no smaller than the snapshot.
 *
 * Throws `SerializationError("frame.budget")` when the snapshot does not fit a frame of 64 KiB:
 * release fewer patterns (P7).
 */
export function buildLadder(
  tenant: string,
  release: Release,
  bases: readonly Release[],
  codec: Codec,
  zstd: Zstd,
): Ladder {
  const snapshot = packRung(encodeSnapshot(release, codec), zstd);
  const deltas = new Map<number, PackedBody>();
  for (const base of bases) {
    if (base.version < 1 || base.version >= release.version || base.dim !== release.dim) continue;
    const delta = packIfFits(encodeReleaseDelta(base, release, codec), zstd);
    if (delta !== null && delta.bytes.length < snapshot.bytes.length) {
      deltas.set(base.version, delta);
    }
  }
  return {
    tenant,
    version: release.version,
    contentHash: contentHash(release),
    codec: codec.id,
    snapshot,
    deltas,
  };
}

/** Version 0 without patterns: what a device gets before the first release. */
export function emptyLadder(tenant: string, dim: number, zstd: Zstd): Ladder {
  return buildLadder(tenant, { version: 0, dim, patterns: [], trends: [] }, [], codec0, zstd);
}

/**
 * The down frame for one device: an empty difference when it is up to date, a difference when its
 * base is a rung, else the snapshot. `applied` is the device's own watermark (P6).
 */
export function downFrame(
  ladder: Ladder,
  view: { readonly base: number; readonly applied: Position | null },
): Uint8Array {
  const { version, codec } = ladder;
  const shared = { version, contentHash: ladder.contentHash, codec, applied: view.applied };
  // Base 0 means that the device holds nothing, so even the empty release is news to it.
  const delta = view.base === version && version > 0 ? EMPTY_BODY : ladder.deltas.get(view.base);
  if (delta === undefined) return encodeFrame({ kind: "snapshot", ...shared }, ladder.snapshot);
  return encodeFrame({ kind: "release-delta", base: view.base, ...shared }, delta);
}

function packRung(raw: Uint8Array, zstd: Zstd): PackedBody {
  const body = packBody(raw, zstd);
  const bytesMax = bodyBytesMax(limits.DOWN_FRAME_BYTES_MAX);
  if (body.bytes.length <= bytesMax) return body;
  throw new SerializationError(
    "frame.budget",
    `a release body holds at most ${bytesMax} bytes: got ${body.bytes.length}`,
    { detail: { bytes: body.bytes.length, bytesMax } },
  );
}

function packIfFits(raw: Uint8Array, zstd: Zstd): PackedBody | null {
  try {
    return packRung(raw, zstd);
  } catch (error) {
    if (error instanceof OmegaError && error.reason === "frame.budget") return null;
    throw error;
  }
}
