/**
 * Writing deltas and pulls: what a device sends.
 *
 * The encoder also says what the server will hold afterwards, computed with
 * the server's own arithmetic, so that the next delta may be coded against it
 * (P6) and quantisation error never accumulates.
 * @module
 */
import { isId, limits, SerializationError } from "../core/index.ts";
import { type CborKey, type CborValue, encodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import {
  DELTA_KEY,
  type DeltaContent,
  type EncodedDelta,
  PERMILLE,
  SAMPLES_MAX,
  UPDATED_AT_S_MAX,
  type Upsert,
  type UpsertEmbedding,
} from "./delta.ts";
import { idToCbor } from "./fields.ts";
import { EMPTY_BODY, encodeFrame, packBody } from "./frame.ts";
import { type GridVector, reconstruct, residualOf } from "./grid.ts";
import type { Zstd } from "./zstd.ts";

export const FLOAT32_BYTES = 4;

/** What the header of a delta says besides its codec. */
export interface DeltaPlace {
  readonly epoch: number;
  readonly seq: number;
  readonly base: number;
  readonly trace?: Uint8Array;
}

/**
 * Encodes one delta frame of at most 15 KiB.
 *
 * Throws `SerializationError`: `frame.budget` when it would be larger (send fewer patterns), or
 * `delta.{field}` for a value out of range, among them a reference that is not in space 0.
 */
export function encodeDelta(
  at: DeltaPlace,
  content: DeltaContent,
  codec: Codec,
  zstd: Zstd,
): EncodedDelta {
  requireContent(content, at.seq);
  requireSpace0(content);
  const carriers = content.upserts.filter((upsert) => upsert.embedding.mode !== "kept");
  const residuals = carriers.map(({ embedding }) => residualFor(embedding));
  const coded = codec.encode(residuals, content.dim);
  const body = bodyOf(content, coded.bytes);
  const frame = encodeFrame(
    { kind: "delta", ...at, codec: codec.id },
    packBody(encodeCbor(body), zstd),
  );
  if (frame.length > limits.UP_FRAME_BYTES_MAX) {
    throw new SerializationError(
      "frame.budget",
      `a delta holds at most ${limits.UP_FRAME_BYTES_MAX} bytes: got ${frame.length}`,
      { detail: { bytes: frame.length, bytesMax: limits.UP_FRAME_BYTES_MAX } },
    );
  }
  return {
    frame,
    space: 0,
    ...reconstructionsOf(carriers, coded.decoded),
    rawBytes: carriers.length * content.dim * FLOAT32_BYTES,
  };
}

/**
 * A pull request: "send me what is newer than `base`" (0 is nothing held yet). With `minor` above 0
 * it also says what the device can read.
 */
export function encodePull(
  base: number,
  { minor = 0, trace }: { readonly minor?: number; readonly trace?: Uint8Array } = {},
): Uint8Array {
  const optional = { ...(minor === 0 ? {} : { minor }), ...(trace === undefined ? {} : { trace }) };
  return encodeFrame({ kind: "pull", base, ...optional }, EMPTY_BODY);
}

function residualFor(embedding: UpsertEmbedding): Int32Array {
  switch (embedding.mode) {
    case "absolute":
      return residualOf(embedding.target, null);
    case "difference":
      return residualOf(embedding.target, embedding.reference);
    case "kept":
      throw new Error("assertion failed: a kept embedding is not coded");
  }
}

function reconstructionsOf(
  carriers: readonly Upsert[],
  decoded: readonly Int32Array[],
): { reconstructions: Map<string, GridVector>; nmse: number } {
  const reconstructions = new Map<string, GridVector>();
  let errorEnergy = 0;
  let energy = 0;
  for (const [index, { id, embedding }] of carriers.entries()) {
    if (embedding.mode === "kept") continue;
    const reference = embedding.mode === "difference" ? embedding.reference : null;
    const vector = reconstruct(reference, decoded[index] as Int32Array);
    reconstructions.set(id, vector);
    for (let at = 0; at < vector.length; at += 1) {
      const wanted = embedding.target[at] as number;
      errorEnergy += (wanted - (vector[at] as number)) ** 2;
      energy += wanted * wanted;
    }
  }
  return { reconstructions, nmse: energy === 0 ? 0 : errorEnergy / energy };
}

function bodyOf(content: DeltaContent, coded: Uint8Array): Map<CborKey, CborValue> {
  const body = new Map<CborKey, CborValue>([[DELTA_KEY.dim, content.dim]]);
  const { upserts, removals } = content;
  if (upserts.length > 0) {
    body.set(
      DELTA_KEY.ids,
      upserts.map((upsert) => idToCbor(upsert.id)),
    );
    body.set(
      DELTA_KEY.weights,
      upserts.map((upsert) => upsert.weight),
    );
    body.set(
      DELTA_KEY.success,
      upserts.map((upsert) => Math.round(upsert.success * PERMILLE)),
    );
    body.set(
      DELTA_KEY.samples,
      upserts.map((upsert) => upsert.samples),
    );
    body.set(DELTA_KEY.updatedAt, differencesOf(upserts.map((upsert) => upsert.updatedAtS)));
    body.set(
      DELTA_KEY.refs,
      upserts.map((upsert) => refOf(upsert.embedding)),
    );
  }
  if (coded.length > 0) body.set(DELTA_KEY.coded, coded);
  if (removals.length > 0) body.set(DELTA_KEY.removals, removals.map(idToCbor));
  return body;
}

/** What {@link DELTA_KEY}.refs says of it. */
export function refOf(embedding: UpsertEmbedding): number {
  if (embedding.mode === "absolute") return 0;
  return embedding.mode === "difference" ? embedding.referenceSeq : -embedding.referenceSeq;
}

/** The first value, then each value minus the one before. */
function differencesOf(values: readonly number[]): number[] {
  return values.map((value, index) => value - (index === 0 ? 0 : (values[index - 1] as number)));
}

function requireSpace0({ upserts }: DeltaContent): void {
  for (const { id, embedding } of upserts) {
    if (embedding.mode !== "difference" || (embedding.referenceSpace ?? 0) === 0) continue;
    const message = `codec 0 has no difference to ${id}, which is in space ${embedding.referenceSpace}`;
    throw new SerializationError("delta.refs", message);
  }
}

/** Throws `SerializationError("delta.…")` for what no delta with this seq may hold. */
export function requireContent(content: DeltaContent, seq: number): void {
  const refuse = (field: string, message: string): never => {
    throw new SerializationError(`delta.${field}`, message);
  };
  const requireRange = (field: string, value: number, min: number, max: number): void => {
    if (Number.isSafeInteger(value) && value >= min && value <= max) return;
    refuse(field, `${field} must be an integer ${min} to ${max}: got ${value}`);
  };
  const { dim, upserts, removals } = content;
  requireRange("dim", dim, limits.DIMENSION_MIN, limits.DIMENSION_MAX);
  requireRange("items", upserts.length + removals.length, 1, limits.DELTA_ITEMS_MAX);
  const ids = [...upserts.map((upsert) => upsert.id), ...removals];
  for (const id of ids) if (!isId(id)) refuse("ids", `not an id: ${JSON.stringify(id)}`);
  if (new Set(ids).size < ids.length) refuse("duplicate-id", "an id occurs twice");
  for (const upsert of upserts) {
    requireRange("weights", upsert.weight, 1, limits.WEIGHT_MAX);
    requireRange("success", Math.round(upsert.success * PERMILLE), 0, PERMILLE);
    requireRange("samples", upsert.samples, 0, SAMPLES_MAX);
    requireRange("updated-at", upsert.updatedAtS, 0, UPDATED_AT_S_MAX);
    const { embedding } = upsert;
    if (embedding.mode !== "absolute") requireRange("refs", embedding.referenceSeq, 1, seq - 1);
    if (embedding.mode !== "kept" && embedding.target.length !== dim) {
      refuse("dim", `an embedding has ${embedding.target.length} components, not ${dim}`);
    }
  }
}
