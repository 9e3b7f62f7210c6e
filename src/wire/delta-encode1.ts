/**
 * Writing deltas with codec 1: a byte budget in, one frame that keeps it out.
 *
 * The budget is for the complete frame. The columns take what they take; the
 * rest is the codec's, which finds the finest step that fits (P7). The body is
 * `{0: dim, 7: coded, 9: columns}`, and the upserts go in the order of their
 * times, which is worth three bits on each.
 *
 * As with codec 0 the encoder says what the server will hold afterwards, now
 * with the space it is in: the next difference to it must be made in the same.
 * @module
 */
import { limits, SerializationError } from "../core/index.ts";
import { type CborKey, type CborValue, encodeCbor } from "./cbor.ts";
import { type Codec1Vector, encodeCodec1 } from "./codec1/codec1.ts";
import { packDeltaColumns } from "./codec1/delta-columns.ts";
import type { CodecModel } from "./codec1/model.ts";
import {
  DELTA_KEY,
  type DeltaContent,
  type EncodedDelta,
  PERMILLE,
  type Upsert,
  type UpsertEmbedding,
} from "./delta.ts";
import { type DeltaPlace, FLOAT32_BYTES, refOf, requireContent } from "./delta-encode.ts";
import { EMPTY_BODY, encodeFrame, packBody } from "./frame.ts";
import { type CodingMode, type GridVector, normWithin } from "./grid.ts";
import type { FrameHeader } from "./header.ts";
import type { Zstd } from "./zstd.ts";

const CODEC_1 = 1;
/** The minor that brought codec 1. */
const MINOR_1 = 1;

export interface Delta1Options {
  /** The complete frame holds at most this; never more than 15 KiB. */
  readonly bytesMax: number;
  /** The model whose space the vectors go into; null: none yet, the rotation serves. */
  readonly model: CodecModel | null;
  readonly mode: CodingMode;
  /** Of the trellis: 8 is quick, 64 is worth a tenth of a decibel. */
  readonly states: 8 | 64;
  /** `tenant/device`, as the server knows it: the unbiased mode draws its seeds from it. */
  readonly sender: string;
  /** No more bytes are spent once the NMSE is below this; default 0, the budget is used up. */
  readonly quality?: number;
}

/**
 * Encodes one delta frame of at most `bytesMax`; null when not even the coarsest step fits, or when
 * it is so coarse that the server would refuse a vector for its norm: send fewer patterns. A
 * difference to a reference in another space than the frame's goes as absolute.
 *
 * Throws `SerializationError("delta.…")` for a value out of range.
 */
export function encodeDelta1(
  at: DeltaPlace,
  content: DeltaContent,
  options: Delta1Options,
  zstd: Zstd,
): EncodedDelta | null {
  requireContent(content, at.seq);
  const { model } = options;
  if (model !== null && model.dim !== content.dim) {
    throw new SerializationError("delta.dim", `the model's dimension is ${model.dim}`);
  }
  const space = model?.version ?? 0;
  const upserts = inOrder(content.upserts).map((upsert) => inSpace(upsert, space));
  const bytesMax = Math.min(options.bytesMax, limits.UP_FRAME_BYTES_MAX);
  const header = { kind: "delta", minor: MINOR_1, ...at, codec: CODEC_1 } as const;
  const columns = packDeltaColumns(columnsOf(upserts, content.removals), at.seq);
  const body = new Map<CborKey, CborValue>([
    [DELTA_KEY.dim, content.dim],
    [DELTA_KEY.columns, columns],
  ]);
  const carriers = upserts.filter((upsert) => upsert.embedding.mode !== "kept");
  const nothing = { reconstructions: [], nmse: 0, space: 0 };
  const coded =
    carriers.length === 0
      ? nothing
      : codeInto(body, carriers, bytesMax - frameBytes(header, body), at, options);
  if (coded === null) return null;
  const frame = encodeFrame(header, packBody(encodeCbor(body), zstd));
  if (frame.length > bytesMax || coarsened(carriers, coded.reconstructions, options.mode)) {
    return null;
  }
  return {
    frame,
    space: coded.space,
    reconstructions: namedBy(carriers, coded.reconstructions),
    nmse: coded.nmse,
    rawBytes: carriers.length * content.dim * FLOAT32_BYTES,
  };
}

/** The column of vectors in what room is left, put into `body`; null when nothing fits. */
function codeInto(
  body: Map<CborKey, CborValue>,
  carriers: readonly Upsert[],
  room: number,
  { epoch, seq }: DeltaPlace,
  { model, mode, states, sender, quality }: Delta1Options,
) {
  const bytesMax = stringBytesMax(room - 1);
  if (bytesMax < 1) return null;
  const coded = encodeCodec1(
    carriers.map(({ embedding }) => vectorOf(embedding)),
    {
      dim: body.get(DELTA_KEY.dim) as number,
      ...{ bytesMax, states, mode, model },
      ...(quality === undefined ? {} : { quality }),
    },
    {
      models: { get: (version) => (version === model?.version ? model : null) },
      sender,
      epoch,
      seq,
    },
  );
  if (coded !== null) body.set(DELTA_KEY.coded, coded.bytes);
  return coded;
}

/** By time, and by id where that is equal: one content, one frame. */
function inOrder(upserts: readonly Upsert[]): Upsert[] {
  return [...upserts].sort((a, b) => a.updatedAtS - b.updatedAtS || (a.id < b.id ? -1 : 1));
}

function inSpace(upsert: Upsert, space: number): Upsert {
  const { embedding } = upsert;
  if (embedding.mode !== "difference" || (embedding.referenceSpace ?? 0) === space) return upsert;
  return { ...upsert, embedding: { mode: "absolute", target: embedding.target } };
}

function columnsOf(upserts: readonly Upsert[], removals: readonly string[]) {
  return {
    ids: upserts.map((upsert) => upsert.id),
    weights: upserts.map((upsert) => upsert.weight),
    success: upserts.map((upsert) => Math.round(upsert.success * PERMILLE)),
    samples: upserts.map((upsert) => upsert.samples),
    updatedAtS: upserts.map((upsert) => upsert.updatedAtS),
    refs: upserts.map((upsert) => refOf(upsert.embedding)),
    removals,
  };
}

function vectorOf(embedding: UpsertEmbedding): Codec1Vector {
  switch (embedding.mode) {
    case "absolute":
      return { target: embedding.target, reference: null };
    case "difference": {
      const { target, reference: vector, referenceSpace: space = 0 } = embedding;
      return { target, reference: { vector, space } };
    }
    case "kept":
      throw new Error("assertion failed: a kept embedding is not coded");
  }
}

/** What the frame takes before there is a column of vectors. */
function frameBytes(header: FrameHeader, body: Map<CborKey, CborValue>): number {
  return encodeFrame(header, EMPTY_BODY).length + encodeCbor(body).length;
}

/** The longest byte string whose CBOR item takes at most `room` bytes; below 1 when there is none. */
function stringBytesMax(room: number): number {
  if (room >= 0x100 + 3) return Math.min(room - 3, 0xffff);
  if (room >= 24 + 2) return Math.min(room - 2, 0xff);
  return Math.min(room - 1, 23);
}

/** Whether coding alone has made a vector too long to count. */
function coarsened(
  carriers: readonly Upsert[],
  vectors: readonly GridVector[],
  mode: CodingMode,
): boolean {
  return carriers.some(({ embedding }, index) => {
    const vector = vectors[index] as GridVector;
    return embedding.mode !== "kept" && normWithin(embedding.target) && !normWithin(vector, mode);
  });
}

function namedBy(
  carriers: readonly Upsert[],
  vectors: readonly GridVector[],
): Map<string, GridVector> {
  return new Map(carriers.map(({ id }, index) => [id, vectors[index] as GridVector]));
}
