/**
 * What frames of codec 1 say: deltas, parts of a release, models.
 *
 * Vectors are shown as embeddings in the pattern domain, whatever space they
 * travel in; without the codec model that a frame needs everything else is
 * shown, and which model it was.
 * @module
 */
import { limits, OmegaError, ProtocolError } from "../core/index.ts";
import {
  type CborValue,
  type CodecModels,
  decodeCbor,
  decodeModel,
  embeddingsOf,
  type Frame,
  GRID,
  type Preview1,
  peekFrame,
  type Release1,
  readModelFrame,
  TransitionReader,
  type TransitionStep,
  unpackBody,
  unpackDeltaColumns,
  type Zstd,
} from "../wire/index.ts";

/** Squared norms of a rotation's ends are equal, so a norm may be told in any space. */
export type VectorText = (vector: ArrayLike<number>) => Readonly<Record<string, unknown>>;

const DELTA_CODED = 7;
const DELTA_COLUMNS = 9;
const PERMILLE = 1_000;
/** PROTOCOL.md, the body of a part. */
const PART_COLUMNS: Readonly<Record<number, string>> = {
  0: "dim",
  4: "coarse",
  9: "columns",
  10: "steps",
  11: "fine",
  12: "fine count",
  13: "same trends",
};

/** Whether `error` only says that the codec model of a delta is not at hand. */
export function lacksModel(error: unknown): boolean {
  return error instanceof OmegaError && error.reason === "codec.model";
}

/** A delta whose vectors cannot be decoded here: its columns, and the model that it takes. */
export function deltaWithoutModel(frame: Frame, zstd: Zstd) {
  const { header } = frame;
  const body = decodeCbor(unpackBody(frame.body, zstd));
  const columns = body instanceof Map ? body.get(DELTA_COLUMNS) : undefined;
  const coded = body instanceof Map ? body.get(DELTA_CODED) : undefined;
  if (header.kind !== "delta" || !isBytes(columns) || !isBytes(coded)) {
    throw new ProtocolError("delta.shape", "a delta of codec 1 has columns and coded vectors");
  }
  const read = unpackDeltaColumns(columns, header.seq);
  const upserts = read.ids.map((id, index) => {
    const ref = read.refs[index] ?? 0;
    return {
      id,
      weight: read.weights[index],
      success: (read.success[index] ?? 0) / PERMILLE,
      samples: read.samples[index],
      mode: ref === 0 ? "absolute" : ref > 0 ? "difference" : "kept",
      updatedAt: new Date((read.updatedAtS[index] ?? 0) * 1_000).toISOString(),
      ...(ref === 0 ? {} : { referenceSeq: Math.abs(ref) }),
    };
  });
  const needsModel = (coded[1] ?? 0) | ((coded[2] ?? 0) << 8);
  return {
    dim: (body as Map<number, number>).get(0),
    needsModel,
    upserts,
    removals: read.removals,
  };
}

/** One part of a release, read after the frames `before` it. */
export function partContent(
  frame: Frame,
  before: readonly Uint8Array[],
  models: CodecModels,
  textOf: VectorText,
) {
  const reader = new TransitionReader(null, models);
  for (const bytes of before) reader.feed(peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX));
  const step = reader.feed(frame);
  switch (step.kind) {
    case "release":
    case "preview":
      return releaseContent(step, models, textOf);
    case "same":
    case "duplicate":
      return { columns: {} };
    case "model":
      return { needsModel: step.version, ...columnsOf(frame) };
    case "stray":
      return columnsOf(frame);
  }
}

function releaseContent(
  { kind, release }: Extract<TransitionStep, { kind: "release" | "preview" }>,
  models: CodecModels,
  textOf: VectorText,
) {
  const { dim, space, steps, trends } = release;
  const embeddings = embeddingsOf(release, space === 0 ? null : models.get(space));
  const patterns = layersOf(release).map((pattern, index) => {
    const steps = (embeddings[index] ?? new Float32Array(0)).map((x) => Math.round(x * GRID));
    return { ...pattern, ...textOf(steps) };
  });
  return {
    ...{ dim, space, complete: kind === "release", steps: { ...steps } },
    patterns,
    trends: trends.map((trend) => ({ ...trend })),
  };
}

function layersOf(release: Release1 | Preview1) {
  return release.patterns.map(({ layers, ...pattern }) => {
    return { ...pattern, layers: layers[1] === null ? 1 : 2 };
  });
}

/** The columns of a part that cannot be read by itself, as they travel. */
function columnsOf(frame: Frame): { readonly columns: Readonly<Record<string, unknown>> } {
  const { header } = frame;
  if (frame.body.bytes.length === 0) {
    if (header.kind === "release-delta" && header.base === header.version) return { columns: {} };
    throw new ProtocolError("release.body", "the body is empty exactly when nothing changed");
  }
  const body = decodeCbor(frame.body.bytes);
  if (!(body instanceof Map)) throw new ProtocolError("release.shape", "expected a map");
  const named = [...body].map(([key, column]) => [PART_COLUMNS[Number(key)] ?? key, column]);
  return { columns: Object.fromEntries(named) };
}

/** A codec model, by what can be told of it in a few numbers. */
export function modelContent(bytes: Uint8Array, textOf: VectorText) {
  const { version: _, model } = readModelFrame(bytes);
  const { dim, mean, spectrum } = decodeModel(model);
  const at = (share: number) => spectrum[Math.floor(share * (dim - 1))];
  return {
    dim,
    mean: textOf(mean),
    // 32 · log2 of the standard deviation, of the first, the middle and the last coordinate.
    spectrum: { first: at(0), middle: at(1 / 2), last: at(1) },
  };
}

function isBytes(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array;
}
