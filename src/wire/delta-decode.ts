/**
 * Reading deltas: what the aggregator does with bytes it has no reason to trust.
 *
 * The order of checks keeps the price of a bad frame low (P8): the outline of
 * the compressed body, the walk, the shape of the columns, and only then the
 * codec, whose input has a known length.
 * @module
 */
import { limits, ProtocolError } from "../core/index.ts";
import { type CborValue, decodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { decodeCodec1 } from "./codec1/codec1.ts";
import { unpackDeltaColumns } from "./codec1/delta-columns.ts";
import type { CodecModels } from "./codec1/model.ts";
import { codecById } from "./codecs.ts";
import {
  DELTA_KEY,
  DELTA_NAMES,
  DELTA1_NAMES,
  type DecodedDelta,
  type DecodedUpsert,
  type DeltaHeader,
  PERMILLE,
  UPDATED_AT_S_MAX,
} from "./delta.ts";
import { DELTA_RANGES, type DeltaColumns, refRange, requireItems } from "./delta-rules.ts";
import { Fields } from "./fields.ts";
import { type Frame, requireKind, unpackBody } from "./frame.ts";
import { type CodingMode, isZero, type Residual } from "./grid.ts";
import type { Zstd } from "./zstd.ts";

const CODEC_1 = 1;

/** What codec 1 needs to know beside the frame. */
export interface DeltaContext {
  /** The codec models at hand: a frame that names another is refused as `codec.model`. */
  readonly models: CodecModels;
  /** `tenant/device`: the unbiased mode draws its seeds from it. */
  readonly sender: string;
}

/** For readers that know of no models and not whom they read. */
const NO_CONTEXT: DeltaContext = { models: { get: () => null }, sender: "" };

/** A delta's columns with its vectors decoded. */
interface Contents {
  readonly dim: number;
  readonly columns: DeltaColumns;
  readonly space: number;
  readonly mode: CodingMode;
  /** One per ref ≥ 0. */
  readonly residuals: readonly Residual[];
}

/**
 * Decodes the delta in `frame`.
 *
 * Throws `ProtocolError("frame.kind" | "delta.…" | "columns.…" | "codec.…")`,
 * `SerializationError("cbor.…")` or `CompressionError("zstd.…")`; nothing else, whatever the bytes.
 */
export function decodeDelta(
  frame: Frame,
  zstd: Zstd,
  context: DeltaContext = NO_CONTEXT,
): DecodedDelta {
  const header = requireKind(frame, "delta");
  const { dim, space, mode, columns, residuals } =
    header.codec === CODEC_1
      ? contents1(header, decodeCbor(unpackBody(frame.body, zstd)), context)
      : contents0(header, codecById(header.codec), decodeCbor(unpackBody(frame.body, zstd)));
  let coded = 0;
  const upserts = columns.ids.map((id, index): DecodedUpsert => {
    const ref = columns.refs[index] as number;
    const kind = ref === 0 ? "absolute" : ref > 0 ? "difference" : "kept";
    const residual = kind === "kept" ? null : (residuals[coded++] as Residual);
    if (kind === "absolute" && residual !== null && isZero(residual)) {
      throw new ProtocolError("pattern.zero", `the embedding of ${id} is all zeros`);
    }
    return {
      id,
      weight: columns.weights[index] as number,
      success: (columns.success[index] as number) / PERMILLE,
      samples: columns.samples[index] as number,
      updatedAtS: columns.updatedAtS[index] as number,
      mode: kind,
      referenceSeq: Math.abs(ref),
      residual,
    };
  });
  return { header, dim, space, mode, upserts, removals: columns.removals };
}

/** Codec 0: a CBOR column each. */
function contents0({ seq }: DeltaHeader, codec: Codec, body: CborValue): Contents {
  const fields = new Fields(body, "delta", DELTA_NAMES);
  const dim = dimOf(fields);
  const ids = fields.ids(DELTA_KEY.ids, limits.DELTA_ITEMS_MAX);
  const removals = fields.ids(DELTA_KEY.removals, limits.DELTA_ITEMS_MAX);
  requireItems(ids, removals);
  const count = ids.length;
  const columns = {
    ids,
    removals,
    weights: fields.integers(DELTA_KEY.weights, count, DELTA_RANGES.weights),
    success: fields.integers(DELTA_KEY.success, count, DELTA_RANGES.success),
    samples: fields.integers(DELTA_KEY.samples, count, DELTA_RANGES.samples),
    updatedAtS: updatedAtOf(fields, count),
    refs: fields.integers(DELTA_KEY.refs, count, refRange(seq)),
  };
  const vectors = columns.refs.filter((ref) => ref >= 0).length;
  const coded = codedOf(fields, vectors);
  const residuals = coded === null ? [] : codec.decode(coded, vectors, dim);
  return { dim, space: 0, mode: "tracking", columns, residuals };
}

/** Codec 1: all columns in one string of bits. */
function contents1({ epoch, seq }: DeltaHeader, body: CborValue, context: DeltaContext): Contents {
  const fields = new Fields(body, "delta", DELTA1_NAMES);
  const dim = dimOf(fields);
  const packed = fields.bytes(DELTA_KEY.columns, { min: 1, max: limits.BODY_BYTES_MAX });
  const columns = unpackDeltaColumns(packed, seq);
  const kinds = columns.refs
    .filter((ref) => ref >= 0)
    .map((ref) => (ref === 0 ? "absolute" : "difference"));
  const coded = codedOf(fields, kinds.length);
  if (coded === null) return { dim, space: 0, mode: "tracking", columns, residuals: [] };
  const { models, sender } = context;
  const vectors = decodeCodec1(coded, kinds, dim, { models, sender, epoch, seq });
  return { dim, columns, ...vectors };
}

function dimOf(fields: Fields): number {
  const range = { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX };
  return fields.integer(DELTA_KEY.dim, range);
}

/** The coded bytes of `vectors` vectors; null, and the column absent, when there are none. */
function codedOf(fields: Fields, vectors: number): Uint8Array | null {
  if (vectors > 0) return fields.bytes(DELTA_KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  if (fields.has(DELTA_KEY.coded)) fields.refuse(DELTA_KEY.coded, "must be left out when empty");
  return null;
}

function updatedAtOf(fields: Fields, count: number): number[] {
  const range = { min: -UPDATED_AT_S_MAX, max: UPDATED_AT_S_MAX };
  let at = 0;
  return fields.integers(DELTA_KEY.updatedAt, count, range).map((difference) => {
    at += difference;
    if (at < 0 || at > UPDATED_AT_S_MAX) fields.refuse(DELTA_KEY.updatedAt, "leaves its range");
    return at;
  });
}
