/**
 * Deltas: what changed on one device, and the pull that asks for news.
 *
 * The body is a CBOR map of columns; an empty column is left out:
 *
 *   0 dim      1 ids       2 weights   3 success ‰   4 samples
 *   5 updated  6 refs      7 coded     8 removals
 *
 * `refs` says what each coded vector is: 0 an embedding, +n the difference to
 * what this device wrote to that pattern at seq n, −n no vector at all because
 * the embedding written at seq n still stands. Counts are absolute, so a
 * redelivered delta changes nothing (P2).
 * @module
 */
import { isId, limits, ProtocolError, SerializationError } from "../core/index.ts";
import { type CborKey, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { codecById } from "./codecs.ts";
import { Fields, idToCbor } from "./fields.ts";
import { EMPTY_BODY, encodeFrame, type Frame, packBody, requireKind, unpackBody } from "./frame.ts";
import { type GridVector, reconstruct, residualOf } from "./grid.ts";
import { COUNTER_MAX, type FrameHeader } from "./header.ts";
import type { Zstd } from "./zstd.ts";

export type UpsertEmbedding =
  | { readonly mode: "absolute"; readonly target: GridVector }
  | {
      readonly mode: "difference";
      readonly target: GridVector;
      /** What the server's register holds, bit for bit (P6). */
      readonly reference: GridVector;
      /** The seq at which this device wrote that register, in this epoch. */
      readonly referenceSeq: number;
    }
  | { readonly mode: "kept"; readonly referenceSeq: number };

export interface Upsert {
  readonly id: string;
  /** Integer, 1–1023. */
  readonly weight: number;
  /** 0–1; travels in thousandths. */
  readonly success: number;
  /** Integer, 0–2^32 − 1; a total, not an increment. */
  readonly samples: number;
  /** Unix seconds, integer, 0–2^40. */
  readonly updatedAtS: number;
  readonly embedding: UpsertEmbedding;
}

export interface DeltaContent {
  readonly dim: number;
  /** Each id occurs once in upserts and removals together; 1–256 items in all. */
  readonly upserts: readonly Upsert[];
  readonly removals: readonly string[];
}

export interface EncodedDelta {
  readonly frame: Uint8Array;
  /** What the server's registers will hold, for each upsert that carries a vector. */
  readonly reconstructions: ReadonlyMap<string, GridVector>;
  /** Σ‖target − reconstruction‖² / Σ‖target‖² over those vectors; 0 without any (P7). */
  readonly nmse: number;
  /** Bytes of those embeddings as float32: what the wire saves against. */
  readonly rawBytes: number;
}

export interface DecodedUpsert {
  readonly id: string;
  readonly weight: number;
  readonly success: number;
  readonly samples: number;
  readonly updatedAtS: number;
  readonly mode: UpsertEmbedding["mode"];
  /** 0 for an absolute one. */
  readonly referenceSeq: number;
  /** Grid steps; null when kept. Give it to `reconstruct`. */
  readonly residual: Int32Array | null;
}

export type DeltaHeader = Extract<FrameHeader, { kind: "delta" }>;

export interface DecodedDelta {
  readonly header: DeltaHeader;
  readonly dim: number;
  readonly upserts: readonly DecodedUpsert[];
  readonly removals: readonly string[];
}

const SAMPLES_MAX = 2 ** 32 - 1;
const UPDATED_AT_S_MAX = 2 ** 40;
const PERMILLE = 1000;
const FLOAT32_BYTES = 4;
const KEY = {
  dim: 0,
  ids: 1,
  weights: 2,
  success: 3,
  samples: 4,
  updatedAt: 5,
  refs: 6,
  coded: 7,
  removals: 8,
} as const;
const NAMES = {
  0: "dim",
  1: "ids",
  2: "weights",
  3: "success",
  4: "samples",
  5: "updated-at",
  6: "refs",
  7: "coded",
  8: "removals",
} as const;

/**
 * Encodes one delta frame of at most 15 KiB.
 *
 * Throws `SerializationError`: `frame.budget` when it would be larger (send fewer patterns), or
 * `delta.{field}` for a value out of range.
 */
export function encodeDelta(
  at: {
    readonly epoch: number;
    readonly seq: number;
    readonly base: number;
    readonly trace?: Uint8Array;
  },
  content: DeltaContent,
  codec: Codec,
  zstd: Zstd,
): EncodedDelta {
  requireContent(content, at.seq);
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
    ...reconstructionsOf(carriers, coded.decoded),
    rawBytes: carriers.length * content.dim * FLOAT32_BYTES,
  };
}

/** A pull request: "send me what is newer than `base`" (0 is nothing held yet). */
export function encodePull(base: number, trace?: Uint8Array): Uint8Array {
  const header = trace === undefined ? { base } : { base, trace };
  return encodeFrame({ kind: "pull", ...header }, EMPTY_BODY);
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
  const body = new Map<CborKey, CborValue>([[KEY.dim, content.dim]]);
  const { upserts, removals } = content;
  if (upserts.length > 0) {
    body.set(
      KEY.ids,
      upserts.map((upsert) => idToCbor(upsert.id)),
    );
    body.set(
      KEY.weights,
      upserts.map((upsert) => upsert.weight),
    );
    body.set(
      KEY.success,
      upserts.map((upsert) => Math.round(upsert.success * PERMILLE)),
    );
    body.set(
      KEY.samples,
      upserts.map((upsert) => upsert.samples),
    );
    body.set(KEY.updatedAt, differencesOf(upserts.map((upsert) => upsert.updatedAtS)));
    body.set(
      KEY.refs,
      upserts.map((upsert) => refOf(upsert.embedding)),
    );
  }
  if (coded.length > 0) body.set(KEY.coded, coded);
  if (removals.length > 0) body.set(KEY.removals, removals.map(idToCbor));
  return body;
}

function refOf(embedding: UpsertEmbedding): number {
  if (embedding.mode === "absolute") return 0;
  return embedding.mode === "difference" ? embedding.referenceSeq : -embedding.referenceSeq;
}

/** The first value, then each value minus the one before. */
function differencesOf(values: readonly number[]): number[] {
  return values.map((value, index) => value - (index === 0 ? 0 : (values[index - 1] as number)));
}

function requireContent(content: DeltaContent, seq: number): void {
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

/**
 * Decodes the delta in `frame`.
 *
 * Throws `ProtocolError("frame.kind" | "delta.…" | "codec.…")`, `SerializationError("cbor.…")` or
 * `CompressionError("zstd.…")`; nothing else, whatever the bytes.
 */
export function decodeDelta(frame: Frame, zstd: Zstd): DecodedDelta {
  const header = requireKind(frame, "delta");
  const codec = codecById(header.codec);
  const fields = new Fields(decodeCbor(unpackBody(frame.body, zstd)), "delta", NAMES);
  const dim = fields.integer(KEY.dim, { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX });
  const ids = fields.ids(KEY.ids, limits.DELTA_ITEMS_MAX);
  const removals = fields.ids(KEY.removals, limits.DELTA_ITEMS_MAX);
  requireItems(ids, removals);
  const count = ids.length;
  const weights = fields.integers(KEY.weights, count, { min: 1, max: limits.WEIGHT_MAX });
  const success = fields.integers(KEY.success, count, { min: 0, max: PERMILLE });
  const samples = fields.integers(KEY.samples, count, { min: 0, max: SAMPLES_MAX });
  const updatedAtS = updatedAtOf(fields, count);
  const refMax = Math.min(header.seq - 1, COUNTER_MAX);
  const refs = fields.integers(KEY.refs, count, { min: -refMax, max: refMax });
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
  return { header, dim, upserts, removals };
}

function requireItems(ids: readonly string[], removals: readonly string[]): void {
  const items = ids.length + removals.length;
  if (items === 0 || items > limits.DELTA_ITEMS_MAX) {
    throw new ProtocolError("delta.items", `1 to ${limits.DELTA_ITEMS_MAX} items: got ${items}`);
  }
  if (new Set([...ids, ...removals]).size < items) {
    throw new ProtocolError("delta.duplicate-id", "an id occurs twice");
  }
}

function updatedAtOf(fields: Fields, count: number): number[] {
  const range = { min: -UPDATED_AT_S_MAX, max: UPDATED_AT_S_MAX };
  let at = 0;
  return fields.integers(KEY.updatedAt, count, range).map((difference) => {
    at += difference;
    if (at < 0 || at > UPDATED_AT_S_MAX) fields.refuse(KEY.updatedAt, "leaves its range");
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
    if (fields.has(KEY.coded)) fields.refuse(KEY.coded, "must be left out when empty");
    return [];
  }
  const bytes = fields.bytes(KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  return codec.decode(bytes, count, dim);
}
