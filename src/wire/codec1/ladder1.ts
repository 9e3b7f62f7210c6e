/**
 * The version ladder of rendition 1: every transition to a release, cut into
 * frames once and shared by all devices on the same rung (see ladder.ts).
 * @module
 */
import { EMPTY_BODY, encodeFrame, type PackedBody } from "../frame.ts";
import type { FrameHeader, Part, Position } from "../header.ts";

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

/** The id of the codec in every header of rendition 1. */
export const CODEC1 = 1;

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
      headerOf(ladder, kind === "snapshot" ? 0 : view.base, view.applied, part),
      body,
    );
  });
}

/** `base` 0 makes it a snapshot. */
export function headerOf(
  release: Pick<Ladder1, "version" | "contentHash" | "model">,
  base: number,
  applied: Position | null,
  part: Part | null,
): FrameHeader {
  const { version, contentHash, model } = release;
  return {
    ...(base === 0 ? { kind: "snapshot" as const } : { kind: "release-delta" as const, base }),
    version,
    contentHash,
    codec: CODEC1,
    applied,
    ...(part === null ? {} : { part }),
    ...(model === 0 ? {} : { model }),
  };
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
