/**
 * Ours, as coders of complete frames. (Pushes: provisional, on the coefficient coder alone.)
 * @module
 */
import {
  type BlockPlan,
  dequantise,
  encodeIndices,
  quantiseBlock,
} from "../../src/wire/codec1/block.ts";
import { fromSpace, toSpace } from "../../src/wire/codec1/klt.ts";
import { type CodecModel, GRID, type GridVector } from "../../src/wire/index.ts";
import { type Coder, type Coding, isPull, type Job } from "./coder.ts";
import type { Envelope } from "./envelope.ts";
import { gridRows, type Knowledge } from "./knowledge.ts";
import { decodePull, encodePull, type PullCoding } from "./omega-pull.ts";

interface PushCoding extends Coding {
  readonly kind: "push";
  readonly registers: readonly GridVector[];
}
type OmegaCoding = PushCoding | PullCoding;

export function omegaCoders(
  { model }: Knowledge,
  envelope: Envelope,
): { readonly all: readonly Coder[]; readonly curve: Coder } {
  if (model === null) throw new Error("provisional");
  const all = ([8, 64] as const).map((states) => omegaCoder(model, states, envelope));
  return { all, curve: omegaCoder(model, 64, envelope) };
}

function omegaCoder(model: CodecModel, states: 8 | 64, envelope: Envelope): Coder<OmegaCoding> {
  const { dim } = model;
  return {
    method: "omega",
    states,
    mode: "tracking",
    seeded: false,
    covers: (name) => states === 64 || !isPull(name),
    encode: (job) =>
      isPull(job.case) ? encodePull(job, dim, model) : encodePush(job, model, states, envelope),
    decode(job, coding) {
      if (coding.kind === "pull")
        decodePull(coding.frames.slice(0, job.case === "pull" ? 1 : 2), dim, model);
    },
  };
}

function encodePush(
  job: Job<OmegaCoding>,
  model: CodecModel,
  states: 8 | 64,
  envelope: Envelope,
): PushCoding {
  const { dim } = model;
  const on = job.on?.kind === "push" ? job.on : null;
  const count = job.vectors.length / dim;
  const space = toSpace(model, gridRows(job.vectors, dim));
  const below = (i: number, j: number): number =>
    (on === null ? model.mean[j] : on.registers[i]?.[j]) as number;
  const coefficients = new Float64Array(count * dim);
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < dim; j += 1) {
      coefficients[i * dim + j] = (space[i]?.[j] as number) - below(i, j);
    }
  }
  const kinds = new Array(count).fill(on === null ? "absolute" : "difference");
  const at = (step: number) => {
    const plan: BlockPlan = { dim, states, step, spectrum: model.spectrum, kinds, gain: false };
    const indices = quantiseBlock(coefficients, plan);
    const bytes = encodeIndices(indices, plan);
    const coded = new Uint8Array(5 + bytes.length);
    coded.set(bytes, 5);
    const frame = envelope.wrap(job, dim, coded);
    return { plan, indices, coded, frame };
  };
  let low = 0;
  let high = 500;
  let best = at(high);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const tried = at(middle);
    if (tried.frame.length <= job.budget) {
      high = middle;
      best = tried;
    } else low = middle;
  }
  const values = dequantise(best.indices, best.plan);
  const registers = Array.from({ length: count }, (_, i) =>
    Int16Array.from({ length: dim }, (_, j) =>
      Math.round((values[i * dim + j] as number) + below(i, j)),
    ),
  );
  return {
    kind: "push",
    registers,
    frameBytes: best.frame.length,
    codedBytes: best.coded.length,
    get decoded() {
      const decoded = new Float32Array(count * dim);
      for (const [i, vector] of fromSpace(model, registers).entries()) {
        for (let j = 0; j < dim; j += 1) decoded[i * dim + j] = (vector[j] as number) / GRID;
      }
      return decoded;
    },
  };
}
