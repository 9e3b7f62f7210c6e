/**
 * The body of one part of a transition: a CBOR map, never compressed, because
 * what is in it is coded to the last bit already. What is empty is left out.
 *
 *   0 dim            4 coarse: rows of the first layer, coded as one block
 *   9 columns       10 steps: [coarse, fine, level], in the first part of a snapshot only
 *  11 fine: rows of the second layer, coded as one block   12 how many rows
 *  13 true: trends stay as they are, in the first part of a difference only
 *
 * The coarse rows belong to the ids in the columns whose vector does not stay,
 * in their order. The fine rows belong to the patterns whose coarse rows came
 * first and have none yet, in the order they came in, this part's included.
 * @module
 */
import { limits, ProtocolError } from "../../core/index.ts";
import { type CborKey, type CborValue, decodeCbor, encodeCbor } from "../cbor.ts";
import { Fields } from "../fields.ts";
import { EMPTY_BODY, encodeFrame, type PackedBody } from "../frame.ts";
import {
  CONTENT_HASH_BYTES,
  COUNTER_MAX,
  type FrameHeader,
  PARTS_MAX,
  type Part,
  type Position,
} from "../header.ts";
import { RELEASE_PATTERNS_MAX } from "../release.ts";
import { MODEL_VERSION_MAX } from "./model.ts";
import type { LayerSteps } from "./release1.ts";
import { STEP_INDEX_MAX } from "./step.ts";

/** The id of the codec in every header of rendition 1. */
export const CODEC1 = 1;

export interface PartBody {
  readonly dim: number;
  readonly coarse: Uint8Array | null;
  readonly columns: Uint8Array | null;
  readonly steps: LayerSteps | null;
  readonly fine: { readonly count: number; readonly bytes: Uint8Array } | null;
  readonly sameTrends: boolean;
}

const KEY = {
  dim: 0,
  coarse: 4,
  columns: 9,
  steps: 10,
  fine: 11,
  fineCount: 12,
  sameTrends: 13,
} as const;
const NAMES = {
  0: "dim",
  4: "coarse",
  9: "columns",
  10: "steps",
  11: "fine",
  12: "fine-count",
  13: "same-trends",
} as const;

export function packPart(part: PartBody): PackedBody {
  const { dim, coarse, columns, steps, fine } = part;
  const body = new Map<CborKey, CborValue>([[KEY.dim, dim]]);
  if (coarse !== null) body.set(KEY.coarse, coarse);
  if (columns !== null) body.set(KEY.columns, columns);
  if (steps !== null) body.set(KEY.steps, [steps.coarse, steps.fine, steps.level]);
  if (fine !== null) body.set(KEY.fine, fine.bytes).set(KEY.fineCount, fine.count);
  if (part.sameTrends) body.set(KEY.sameTrends, true);
  return { compressed: false, bytes: encodeCbor(body) };
}

/** Throws `ProtocolError("release.…")` or `SerializationError("cbor.…")`. */
export function unpackPart(body: PackedBody): PartBody {
  if (body.compressed) throw new ProtocolError("release.body", "a part is never compressed");
  const value = decodeCbor(body.bytes);
  const fields = new Fields(value, "release", NAMES);
  const bytesAt = (key: number) =>
    fields.has(key) ? fields.bytes(key, { min: 1, max: limits.BODY_BYTES_MAX }) : null;
  const fine = bytesAt(KEY.fine);
  const counted = fields.has(KEY.fineCount);
  if (counted !== (fine !== null)) fields.refuse(KEY.fineCount, "comes with fine, and only then");
  const sameTrends = fields.has(KEY.sameTrends);
  if (sameTrends && (value as Map<CborKey, CborValue>).get(KEY.sameTrends) !== true) {
    fields.refuse(KEY.sameTrends, "is true or left out");
  }
  return {
    dim: fields.integer(KEY.dim, { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX }),
    coarse: bytesAt(KEY.coarse),
    columns: bytesAt(KEY.columns),
    steps: stepsOf(fields),
    fine: fine && {
      bytes: fine,
      count: fields.integer(KEY.fineCount, { min: 1, max: RELEASE_PATTERNS_MAX }),
    },
    sameTrends,
  };
}

function stepsOf(fields: Fields): LayerSteps | null {
  if (!fields.has(KEY.steps)) return null;
  const [coarse, fine, level, ...rest] = fields.column(KEY.steps, 3);
  const within = (value: CborValue | undefined, min: number): value is number =>
    typeof value === "number" && value >= min && value <= STEP_INDEX_MAX;
  const steps = within(coarse, 0) && within(fine, 0) && within(level, -STEP_INDEX_MAX);
  if (!steps || rest.length > 0) fields.refuse(KEY.steps, "must be [coarse, fine, level]");
  return { coarse, fine, level };
}

/** The header of a part; `base` 0 makes it a snapshot's. */
export function partHeader(
  release: {
    readonly version: number;
    readonly contentHash: Uint8Array;
    readonly model: number;
  },
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

/** P7: what a frame takes beside its body, for the largest watermark, version and part there may be. */
const HEAD_BYTES_MAX = encodeFrame(
  partHeader(
    {
      version: COUNTER_MAX,
      contentHash: new Uint8Array(CONTENT_HASH_BYTES),
      model: MODEL_VERSION_MAX,
    },
    COUNTER_MAX,
    { epoch: COUNTER_MAX, seq: COUNTER_MAX },
    { n: PARTS_MAX, of: PARTS_MAX },
  ),
  EMPTY_BODY,
).length;

/** The largest body of a part that may travel in a frame of `frameBytes`. */
export function partBytesMax(frameBytes: number): number {
  return frameBytes - HEAD_BYTES_MAX;
}
