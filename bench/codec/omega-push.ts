/**
 * Ours on the way up: complete delta frames of codec 1, written as a device writes them and read as
 * the aggregator reads them.
 * @module
 */
import { fromSpace } from "../../src/wire/codec1/klt.ts";
import { unpackBody } from "../../src/wire/frame.ts";
import {
  type CodecModel,
  type DeltaContent,
  decodeCbor,
  decodeDelta,
  encodeDelta1,
  GRID,
  type GridVector,
  peekFrame,
  reconstruct,
  type UpsertEmbedding,
  type Zstd,
} from "../../src/wire/index.ts";
import { type Coding, DoesNotFit, type Job, type Mode, type PushItem } from "./coder.ts";
import { POSITION, RELEASE_VERSION } from "./envelope.ts";
import { gridRows } from "./knowledge.ts";

export interface PushSetting {
  readonly dim: number;
  /** Null: the rotation serves. */
  readonly model: CodecModel | null;
  readonly mode: Mode;
  readonly states: 8 | 64;
  readonly zstd: Zstd;
}

export interface PushCoding extends Coding {
  readonly kind: "push";
  readonly frame: Uint8Array;
  readonly seq: number;
  readonly space: number;
  /** What the server holds afterwards, by id. */
  readonly registers: ReadonlyMap<string, GridVector>;
}

/** One vector as the aggregator has it: where it counts, and what it is. */
export interface Received {
  readonly id: string;
  readonly weight: number;
  readonly successPermille: number;
  readonly samples: number;
  readonly space: number;
  readonly vector: GridVector;
}

const CODED_KEY = 7;
/** Mode, model and step, which say how to read the vectors and carry nothing of them. */
const HEAD_BYTES = 5;
const PERMILLE = 1000;

export function encodePush(job: Job, on: PushCoding | null, setting: PushSetting): PushCoding {
  const { dim, model, mode, states, zstd } = setting;
  const seq = on === null ? POSITION.seq : on.seq + 1;
  const encoded = encodeDelta1(
    { epoch: POSITION.epoch, seq, base: RELEASE_VERSION },
    contentOf(job, on, dim),
    { bytesMax: job.budget, model, mode, states, sender: senderOf(job) },
    zstd,
  );
  if (encoded === null) throw new DoesNotFit(`${job.items.length} vectors in ${job.budget} bytes`);
  const { frame, space, reconstructions: registers } = encoded;
  return {
    kind: "push",
    frame,
    seq,
    space,
    registers,
    frameBytes: frame.length,
    get codedBytes() {
      const body = decodeCbor(unpackBody(peekFrame(frame, frame.length).body, zstd));
      const coded = body instanceof Map ? body.get(CODED_KEY) : null;
      return coded instanceof Uint8Array ? coded.length - HEAD_BYTES : 0;
    },
    get decoded() {
      const held = job.items.map(({ id }) => registers.get(id) ?? new Int16Array(dim));
      return unitsOf(held, space === 0 ? null : model, dim);
    },
  };
}

export function contentOf(job: Job, on: PushCoding | null, dim: number): DeltaContent {
  const targets = gridRows(job.vectors, dim);
  const items = job.items as readonly PushItem[];
  const upserts = items.map((item, index) => {
    const target = targets[index] as GridVector;
    const reference = on?.registers.get(item.id);
    const embedding: UpsertEmbedding =
      on === null || reference === undefined
        ? { mode: "absolute", target }
        : { mode: "difference", target, reference, referenceSpace: on.space, referenceSeq: on.seq };
    return { ...item, success: Math.round(item.success * PERMILLE) / PERMILLE, embedding };
  });
  return { dim, upserts, removals: [] };
}

/** What the aggregator makes of a frame, of codec 0 or 1; `on` are the registers it has. */
export function receive(
  frame: Uint8Array,
  job: Job,
  on: ReadonlyMap<string, GridVector> | null,
  { model, zstd }: Pick<PushSetting, "model" | "zstd">,
): Received[] {
  const models = { get: (version: number) => (version === model?.version ? model : null) };
  const delta = decodeDelta(peekFrame(frame, frame.length), zstd, {
    models,
    sender: senderOf(job),
  });
  return delta.upserts.flatMap(({ id, weight, success, samples, mode, residual }) => {
    if (residual === null) return [];
    const reference = mode === "difference" ? (on?.get(id) ?? null) : null;
    const successPermille = Math.round(success * PERMILLE);
    const vector = reconstruct(reference, residual);
    return [{ id, weight, successPermille, samples, space: delta.space, vector }];
  });
}

function senderOf(job: Job): string {
  return `bench/${job.sender}`;
}

/** Registers as embeddings, in the pattern domain. */
function unitsOf(held: readonly GridVector[], model: CodecModel | null, dim: number): Float32Array {
  const units = new Float32Array(held.length * dim);
  const rows = model === null ? held : fromSpace(model, held);
  for (const [row, vector] of rows.entries()) {
    for (let j = 0; j < dim; j += 1) units[row * dim + j] = (vector[j] as number) / GRID;
  }
  return units;
}
