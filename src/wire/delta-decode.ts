/**
 * Reading deltas: what the aggregator does with bytes it has no reason to trust.
 *
 * The order of checks keeps the price of a bad frame low (P8): the outline of
 * the compressed body, the walk, the shape of the columns, and only then the
 * codec, whose input has a known length.
 * @module
 */
import { limits, ProtocolError } from "../core/index.ts";
import { decodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { codecById } from "./codecs.ts";
import {
  DELTA_KEY,
  DELTA_NAMES,
  type DecodedDelta,
  type DecodedUpsert,
  PERMILLE,
  UPDATED_AT_S_MAX,
} from "./delta.ts";
import { DELTA_RANGES, refRange, requireItems } from "./delta-rules.ts";
import { Fields } from "./fields.ts";
import { type Frame, requireKind, unpackBody } from "./frame.ts";
import type { Zstd } from "./zstd.ts";

/**
 * Decodes the delta in `frame`.
 *
 * Throws `ProtocolError("frame.kind" | "delta.…" | "codec.…")`, `SerializationError("cbor.…")` or
 * `CompressionError("zstd.…")`; nothing else, whatever the bytes.
 */
export function decodeDelta(frame: Frame, zstd: Zstd): DecodedDelta {
  const header = requireKind(frame, "delta");
  const codec = codecById(header.codec);
  const fields = new Fields(decodeCbor(unpackBody(frame.body, zstd)), "delta", DELTA_NAMES);
  const dim = fields.integer(DELTA_KEY.dim, {
    min: limits.DIMENSION_MIN,
    max: limits.DIMENSION_MAX,
  });
  const ids = fields.ids(DELTA_KEY.ids, limits.DELTA_ITEMS_MAX);
  const removals = fields.ids(DELTA_KEY.removals, limits.DELTA_ITEMS_MAX);
  requireItems(ids, removals);
  const count = ids.length;
  const weights = fields.integers(DELTA_KEY.weights, count, DELTA_RANGES.weights);
  const success = fields.integers(DELTA_KEY.success, count, DELTA_RANGES.success);
  const samples = fields.integers(DELTA_KEY.samples, count, DELTA_RANGES.samples);
  const updatedAtS = updatedAtOf(fields, count);
  const refs = fields.integers(DELTA_KEY.refs, count, refRange(header.seq));
  const residuals = residualsOf(fields, refs, codec, dim);
  let coded = 0;
  const upserts = ids.map((id, index): DecodedUpsert => {
    const ref = refs[index] as number;
    const mode = ref === 0 ? "absolute" : ref > 0 ? "difference" : "kept";
    const residual = mode === "kept" ? null : (residuals[coded++] as Int32Array);
    if (mode === "absolute" && residual?.every((component) => component === 0)) {
      throw new ProtocolError("pattern.zero", `the embedding of ${id} is all zeros`);
    }
    return {
      id,
      weight: weights[index] as number,
      success: (success[index] as number) / PERMILLE,
      samples: samples[index] as number,
      updatedAtS: updatedAtS[index] as number,
      mode,
      referenceSeq: Math.abs(ref),
      residual,
    };
  });
  return { header, dim, space: 0, upserts, removals };
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

function residualsOf(
  fields: Fields,
  refs: readonly number[],
  codec: Codec,
  dim: number,
): Int32Array[] {
  const count = refs.filter((ref) => ref >= 0).length;
  if (count === 0) {
    if (fields.has(DELTA_KEY.coded)) fields.refuse(DELTA_KEY.coded, "must be left out when empty");
    return [];
  }
  const bytes = fields.bytes(DELTA_KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  return codec.decode(bytes, count, dim);
}
