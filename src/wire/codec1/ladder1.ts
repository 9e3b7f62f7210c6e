/**
 * The version ladder of rendition 1: every transition to a release, cut into
 * frames once and shared by all devices on the same rung (see ladder.ts).
 * @module
 */
import { EMPTY_BODY, encodeFrame, type PackedBody } from "../frame.ts";
import type { Position } from "../header.ts";
import type { CodecModel } from "./model.ts";
import { RELEASE1_FRAME_BYTES_MAX, type Release1 } from "./release1.ts";
import { partHeader } from "./release1-body.ts";
import { sharesRows } from "./release1-difference.ts";
import { contentHash1 } from "./release1-hash.ts";
import { NO_STEPS, quantiseRelease1 } from "./release1-vectors.ts";
import { cutting } from "./release1-writer.ts";
import { atOnce, type Slices } from "./slices.ts";

export interface Ladder1 {
  readonly tenant: string;
  readonly version: number;
  readonly contentHash: Uint8Array;
  /** The codec model that the parts need; 0 is none. */
  readonly model: number;
  /** The parts that take a device from nothing to this version; never empty. */
  readonly snapshot: readonly PackedBody[];
  /** The parts that take it there from a base version; never empty. */
  readonly deltas: ReadonlyMap<number, readonly PackedBody[]>;
}

/**
 * Cuts `release` (from `quantiseRelease1`) and its difference to each of `bases` into parts. A rung
 * is left out when the rows changed their meaning (dimension, model or steps), or when it would be
 * no smaller than the snapshot. `model` is that of the release's space.
 *
 * Throws `SerializationError("frame.budget")` when it takes more than 255 parts (P7).
 */
export function buildLadder1(
  tenant: string,
  release: Release1,
  bases: readonly Release1[],
  model: CodecModel | null,
): Ladder1 {
  return atOnce(buildingLadder1(tenant, release, bases, model));
}

/** {@link buildLadder1} in slices. */
export function* buildingLadder1(
  tenant: string,
  release: Release1,
  bases: readonly Release1[],
  model: CodecModel | null,
): Slices<Ladder1> {
  const snapshot = yield* bodies(null, release, model);
  const deltas = new Map<number, readonly PackedBody[]>();
  for (const base of bases) {
    if (base.version < 1 || base.version >= release.version || !sharesRows(base, release)) continue;
    const parts = yield* bodies(base, release, model);
    if (bytesOf(parts) < bytesOf(snapshot)) deltas.set(base.version, parts);
  }
  return {
    tenant,
    version: release.version,
    contentHash: contentHash1(release, model),
    model: release.space,
    snapshot,
    deltas,
  };
}

/** Version 0 without patterns: what a device gets before the first release. */
export function emptyLadder1(tenant: string, dim: number): Ladder1 {
  const nothing = { version: 0, dim, patterns: [], trends: [] };
  return buildLadder1(tenant, quantiseRelease1(nothing, null, NO_STEPS), [], null);
}

function* bodies(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
): Slices<PackedBody[]> {
  const parts = yield* cutting(base, next, model, RELEASE1_FRAME_BYTES_MAX);
  return parts.map(({ body }) => body);
}

function bytesOf(parts: readonly PackedBody[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** What one device is to be told: the release version it holds, 0 for none, and its own watermark (P6). */
export interface LadderView {
  readonly base: number;
  readonly applied: Position | null;
}

/** The parts for a device at `base`: one empty body when it is up to date. */
export function rungOf(
  ladder: Ladder1,
  base: number,
): {
  readonly kind: "snapshot" | "release-delta" | "watermark";
  readonly parts: readonly PackedBody[];
} {
  if (base === ladder.version && base > 0) return { kind: "watermark", parts: [EMPTY_BODY] };
  const parts = ladder.deltas.get(base);
  if (parts !== undefined) return { kind: "release-delta", parts };
  return { kind: "snapshot", parts: ladder.snapshot };
}

/** The down frames for one device, in the order they must be sent. */
export function downFrames1(ladder: Ladder1, view: LadderView): Uint8Array[] {
  const { kind, parts } = rungOf(ladder, view.base);
  return parts.map((body, index) => {
    const part = parts.length > 1 ? { n: index + 1, of: parts.length } : null;
    return encodeFrame(
      partHeader(ladder, kind === "snapshot" ? 0 : view.base, view.applied, part),
      body,
    );
  });
}

/** The same ladder with empty bodies: framing it yields the heads alone, in front of shared bodies. */
export function hollowLadder1(ladder: Ladder1): Ladder1 {
  // A head says whether its body is compressed, so even an empty one must know.
  const hollow = (parts: readonly PackedBody[]) =>
    parts.map(({ compressed }) => ({ compressed, bytes: EMPTY_BODY.bytes }));
  return {
    ...ladder,
    snapshot: hollow(ladder.snapshot),
    deltas: new Map([...ladder.deltas].map(([base, parts]) => [base, hollow(parts)])),
  };
}
