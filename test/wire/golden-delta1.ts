/**
 * Golden deltas of codec 1: both modes, with the golden model and without one.
 * @module
 */
import {
  type Delta1Options,
  type DeltaContent,
  encodeDelta1,
  type GridVector,
  type Upsert,
  type UpsertEmbedding,
} from "../../src/wire/index.ts";
import type { GoldenCase } from "./golden-cases.ts";
import { GOLDEN_CONTEXT, HELD_MODEL } from "./golden-model.ts";
import { storingZstd } from "./golden-storing.ts";

const DRAMA = Int16Array.from([8192, -8192, 4096, -4096, 1000, 0, -1, 8000]);
const KIDS = Int16Array.from([3400, 1500, 2600, 900, 2900, 1300, 2300, 700]);
/** Where the server holds KIDS: in the model's space, as an older push left it. */
const KIDS_HELD = Int16Array.from([4900, 2000, 1100, 500, 900, -300, 40, -20]);
const NEWS = Int16Array.from([3000, 900, 3300, 1100, 2700, 1500, 1900, 400]);

function upsert(id: string, order: number, embedding: UpsertEmbedding): Upsert {
  const updatedAtS = 1_790_000_000 + 600 * order;
  return { id, weight: 12 + order, success: 0.75, samples: 40 + order, updatedAtS, embedding };
}

function absolute(target: GridVector): UpsertEmbedding {
  return { mode: "absolute", target };
}

/** A wave of norm below 1 that differs per `phase`: no random numbers, so any language can rebuild it. */
function wave(dim: number, phase: number): GridVector {
  return Int16Array.from({ length: dim }, (_, at) => ((at * 37 + phase * 101) % 255) * 8 - 1016);
}

const ONE: DeltaContent = {
  dim: 8,
  upserts: [upsert("evening-drama", 0, absolute(DRAMA))],
  removals: [],
};

const KIDS_MOVED = upsert("weekend_kids", 1, {
  mode: "difference",
  target: KIDS,
  reference: KIDS_HELD,
  referenceSpace: HELD_MODEL.version,
  referenceSeq: 41,
});

const TWO: DeltaContent = {
  dim: 8,
  upserts: [upsert("news", 0, absolute(NEWS)), KIDS_MOVED],
  removals: [],
};

/** The first lies far from what the model expects, so its indices are large ones. */
const MIXED: DeltaContent = {
  dim: 8,
  upserts: [
    upsert("evening-drama", 0, absolute(DRAMA)),
    KIDS_MOVED,
    upsert("00c0ffee00c0ffee", 2, { mode: "kept", referenceSeq: 7 }),
    upsert("news", 3, absolute(NEWS)),
  ],
  removals: ["late-night"],
};

/** 22 numbers in 24 = 12 · 2 coefficients. */
const PADDED: DeltaContent = {
  dim: 22,
  upserts: [
    upsert("evening-drama", 0, absolute(wave(22, 0))),
    upsert("weekend_kids", 1, {
      mode: "difference",
      target: wave(22, 1),
      reference: wave(22, 1).map((component) => Math.round(component * 0.7)),
      referenceSeq: 12,
    }),
    upsert("news", 2, absolute(wave(22, 2))),
  ],
  removals: [],
};

const USUAL: DeltaContent = {
  dim: 384,
  upserts: [
    upsert("evening-drama", 0, absolute(wave(384, 0))),
    upsert("news", 1, absolute(wave(384, 1))),
  ],
  removals: [],
};

function delta(
  name: string,
  description: string,
  seq: number,
  content: DeltaContent,
  options: Pick<Delta1Options, "bytesMax" | "model" | "mode" | "states">,
): GoldenCase {
  const at = { epoch: 9_000_001, seq, base: 0 };
  const { sender } = GOLDEN_CONTEXT;
  return {
    name,
    description,
    compressed: false,
    input: { at, content, options: { ...options, model: options.model?.version ?? 0, sender } },
    frame: () => {
      const encoded = encodeDelta1(at, content, { ...options, sender }, storingZstd);
      if (encoded === null) throw new Error(`assertion failed: ${name} fits its bytes`);
      return encoded.frame;
    },
  };
}

export const DELTA1_CASES: readonly GoldenCase[] = [
  delta(
    "delta-codec1-rotation",
    "Codec 1, tracking, no model: one embedding of 8 components, coarsely.",
    1,
    ONE,
    { bytesMax: 60, model: null, mode: "tracking", states: 8 },
  ),
  delta(
    "delta-codec1-model",
    "Codec 1, tracking, model 7: two embeddings, a difference to seq 41, one kept, a removal.",
    42,
    MIXED,
    { bytesMax: 132, model: HELD_MODEL, mode: "tracking", states: 64 },
  ),
  delta(
    "delta-codec1-unbiased",
    "Codec 1, unbiased, model 7: an embedding and a difference to seq 41.",
    42,
    TWO,
    { bytesMax: 90, model: HELD_MODEL, mode: "unbiased", states: 8 },
  ),
  delta(
    "delta-codec1-padded",
    "Codec 1, unbiased, no model: 22 components in 24 coefficients, a difference to seq 12 among them.",
    13,
    PADDED,
    { bytesMax: 124, model: null, mode: "unbiased", states: 64 },
  ),
  delta(
    "delta-codec1-usual",
    "Codec 1, tracking, no model: two embeddings of 384 components.",
    1,
    USUAL,
    { bytesMax: 280, model: null, mode: "tracking", states: 8 },
  ),
];
