/**
 * Ours, as coders of complete frames: pushes with 8 and 64 states, tracking and unbiased, and the
 * pulls, whose trellis has 64 states because a server codes a release once for everybody.
 * @module
 */
import type { Zstd } from "../../src/wire/index.ts";
import { type Case, type Coder, isPull, type Mode } from "./coder.ts";
import { costsOf } from "./cost.ts";
import type { Knowledge } from "./knowledge.ts";
import { decodePull, encodePull, type PullCoding } from "./omega-pull.ts";
import { encodePush, type PushCoding, type PushSetting, receive } from "./omega-push.ts";
import type { Compress } from "./zstd19.ts";

type OmegaCoding = PushCoding | PullCoding;

export interface OmegaContext {
  readonly dim: number;
  readonly knowledge: Knowledge;
  readonly zstd: Zstd;
  readonly compress: Compress;
}

export interface OmegaCoders {
  readonly all: readonly Coder[];
  /** The one whose curve is drawn. */
  readonly best: Coder;
}

const VARIANTS: readonly Pick<PushSetting, "states" | "mode">[] = [
  { states: 8, mode: "tracking" },
  { states: 64, mode: "tracking" },
  { states: 8, mode: "unbiased" },
  { states: 64, mode: "unbiased" },
];

export function omegaCoders({ dim, knowledge, zstd, compress }: OmegaContext): OmegaCoders {
  const model = knowledge.worthIt ? knowledge.model : null;
  const all = VARIANTS.map((variant) => coderOf({ ...variant, dim, model, zstd }, compress));
  return { all, best: coderOf({ states: 64, mode: "tracking", dim, model, zstd }, compress) };
}

/** Releases and closed loops track; a device that is one of many may be asked to be unbiased. */
function coversOf(mode: Mode, states: 8 | 64): (name: Case) => boolean {
  return (name) => name === "push" || (mode === "tracking" && (states === 64 || !isPull(name)));
}

function coderOf(setting: PushSetting, compress: Compress): Coder<OmegaCoding> {
  const { dim, model, mode, states } = setting;
  return {
    method: "omega",
    states,
    mode,
    seeded: mode === "unbiased",
    covers: coversOf(mode, states),
    encode: (job) =>
      isPull(job.case)
        ? encodePull(job, dim, model)
        : encodePush(job, job.on?.kind === "push" ? job.on : null, setting),
    decode(job, coding) {
      if (coding.kind === "pull") decodePull(coding.read, dim, model);
      else receive(coding.frame, job, registersOf(job.on), setting);
    },
    costs: (jobs, limits) => costsOf(jobs, setting, compress, limits),
  };
}

function registersOf(coding: OmegaCoding | null): PushCoding["registers"] | null {
  return coding?.kind === "push" ? coding.registers : null;
}
