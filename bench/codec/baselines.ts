/**
 * The methods we compare with, each as a coder of complete frames.
 *
 * All of them but the plain number formats know the mean of the train split and
 * code what is left without it; on top of what the receiver holds they code the
 * difference. That is more than their authors ask for, and it is fair: ours
 * knows the mean too.
 * @module
 */
import { seededRandom } from "../../src/core/index.ts";
import type { BlockCodec, Centre } from "./block-codec.ts";
import type { Case, Coder, Coding, Job, Mode } from "./coder.ts";
import type { Envelope } from "./envelope.ts";
import { trainProductQuantiser } from "./product-quantiser.ts";
import { rotatedCodec } from "./rotated-codec.ts";
import { float16Codec, float32Codec, integerCodec } from "./scalar-codec.ts";
import type { Compress } from "./zstd19.ts";

export interface BaselineContext {
  readonly dim: number;
  readonly mean: Float64Array;
  readonly envelope: Envelope;
  readonly compress: Compress;
}

interface Baseline {
  readonly method: string;
  readonly mode: Mode;
  readonly centre: Centre;
  readonly cases: readonly Case[];
  /** The codec for a job; one with a fixed rate gives the same for all. */
  readonly codecFor: (job: Job) => BlockCodec;
}

interface BaselineCoding extends Coding {
  readonly frame: Uint8Array;
}

/** What the columns of one job may be longer than those of another. */
const SLACK_BYTES = 12;
const FROM_NOTHING: readonly Case[] = ["push", "pull"];
const TRACKING: readonly Case[] = ["push", "pull", "pull2", "drift"];

/** Every baseline with a fixed number of bits. */
export function fixedBaselines(context: BaselineContext): Coder[] {
  const fixed = (
    method: string,
    mode: Mode,
    centre: Centre,
    cases: readonly Case[],
    codec: BlockCodec,
  ) => coderOf({ method, mode, centre, cases, codecFor: () => codec }, context);
  const unbiased = (bits: 1 | 2) => rotatedCodec(bits, "unbiased");
  return [
    fixed("float32+zstd", "tracking", "nothing", FROM_NOTHING, float32Codec),
    fixed("float16+zstd", "tracking", "nothing", FROM_NOTHING, float16Codec),
    fixed("int8+zstd", "tracking", "nothing", TRACKING, integerCodec(8)),
    fixed("int4+zstd", "tracking", "nothing", TRACKING, integerCodec(4)),
    fixed("lloyd-max-2bit", "tracking", "mean", TRACKING, rotatedCodec(2, "least-error")),
    fixed("lloyd-max-1bit", "tracking", "mean", TRACKING, rotatedCodec(1, "least-error")),
    fixed("drive-1bit", "unbiased", "mean", FROM_NOTHING, unbiased(1)),
    fixed("eden-1bit", "unbiased", "mean", FROM_NOTHING, unbiased(1)),
    fixed("eden-2bit", "unbiased", "mean", FROM_NOTHING, unbiased(2)),
  ];
}

/**
 * Product quantisation with as many one-byte parts as the budget of the case leaves. The second
 * pull has a codebook of its own, learnt from what the first one leaves of the train split.
 */
export function productQuantiser(
  train: Float32Array,
  effort: { readonly rowsMax: number; readonly iterations: number },
  context: BaselineContext,
): Coder {
  const { dim, mean, envelope } = context;
  const rows = Math.min(effort.rowsMax, train.length / dim);
  const centred = Float64Array.from(train.subarray(0, rows * dim), (x, at) => {
    return x - (mean[at % dim] as number);
  });
  const learn = (vectors: Float64Array, parts: number, seed: number) =>
    trainProductQuantiser(vectors, dim, parts, { ...effort, random: seededRandom(seed) });
  const partsFor = (job: Job) => {
    // Of bytes that zstd cannot shrink, as codes are; ids and counts differ a little between jobs.
    const random = seededRandom(job.budget);
    const count = job.vectors.length / dim;
    const noise = new Uint8Array(job.budget).map(() => random.next() * 256);
    const overhead = envelope.wrap(job, dim, noise).length - noise.length;
    return Math.min(dim, Math.floor((job.budget - overhead - SLACK_BYTES) / count));
  };
  const books = new Map<string, BlockCodec>();
  const once = (name: string, make: () => BlockCodec): BlockCodec => {
    const codec = books.get(name) ?? make();
    books.set(name, codec);
    return codec;
  };
  const partsOf = new Map<Case, number>();
  const codecFor = (job: Job): BlockCodec => {
    const parts = partsOf.get(job.case) ?? partsFor(job);
    partsOf.set(job.case, parts);
    const first = once(`${parts} absolute`, () => learn(centred, parts, parts));
    if (job.on === null) return first;
    return once(`${parts} residual`, () => {
      const held = first.decode(first.encode(centred, dim, 0), dim, 0);
      return learn(
        centred.map((x, at) => x - (held[at] as number)),
        parts,
        parts + 1,
      );
    });
  };
  return coderOf(
    {
      method: "product-quantiser",
      mode: "tracking",
      centre: "mean",
      cases: ["push", "pull", "pull2"],
      codecFor,
    },
    context,
  );
}

function coderOf(baseline: Baseline, context: BaselineContext): Coder<BaselineCoding> {
  const { dim, mean, envelope, compress } = context;
  const { method, mode, centre, cases, codecFor } = baseline;
  const known = (job: Job, at: number): number => {
    if (job.on !== null) return job.on.decoded[at] as number;
    return centre === "mean" ? (mean[at % dim] as number) : 0;
  };
  const seedOf = (job: Job) => hashOf(`${job.case} ${job.sender}`);
  const restored = (job: Job, coded: Uint8Array): Float32Array => {
    const decoded = codecFor(job).decode(coded, dim, seedOf(job));
    return Float32Array.from(decoded, (x, at) => x + known(job, at));
  };
  return {
    method,
    states: null,
    mode,
    seeded: mode === "unbiased",
    covers: (name) => cases.includes(name),
    encode(job) {
      const left = Float64Array.from(job.vectors, (x, at) => x - known(job, at));
      const coded = codecFor(job).encode(left, dim, seedOf(job));
      const frame = envelope.wrap(job, dim, coded);
      let decoded: Float32Array | null = null;
      // Getters, because the encoder's time is not to pay for what only the bench wants to know.
      return {
        frame,
        frameBytes: frame.length,
        get codedBytes() {
          return Math.min(coded.length, compress(coded).length);
        },
        get decoded() {
          decoded ??= restored(job, coded);
          return decoded;
        },
      };
    },
    decode(job, coding) {
      restored(job, envelope.open(coding.frame));
    },
  };
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash;
}
