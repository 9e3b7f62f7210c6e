/**
 * Codec 1: embeddings near the Shannon limit. What stands in a frame's `coded` column.
 *
 *   0      flags: bit 0 mode (0 tracking, 1 unbiased), bit 1 states (0: 8, 1: 64), the others 0
 *   1–2    codec model, uint16 LE; 0: none
 *   3–4    step index, uint16 LE
 *   5…     mode unbiased: one scale per vector, a byte each
 *   …      the indices (block.ts)
 *
 * A vector is the difference to its reference, or absolute: the difference to the model's mean, or
 * itself when there is no model. It is taken into the mode's domain (domain.ts), quantised there,
 * and comes back as integers in the frame's space, the model's or 0.
 *
 * **Tracking** makes the least error; what is left of it, the next difference mends. **Unbiased**
 * makes an error that is zero on average over senders, so that the mean of n of them nears the truth
 * as 1/n. For that each vector is rotated by a seed of its own, and what was decoded scaled by
 * ‖z‖² / ⟨z, ẑ⟩ (EDEN: Vargaftik et al., "EDEN: communication-efficient and robust distributed mean
 * estimation", 2022). Scale byte b is step(b) / 2, from ½ to 2^7; between two of them a coin decides
 * whose odds make the mean exact.
 * @module
 */
import { assert, ProtocolError, SerializationError } from "../../core/index.ts";
import { type GridVector, reconstruct } from "../grid.ts";
import {
  BLOCK_COEFFICIENTS_MAX,
  type BlockPlan,
  decodeIndices,
  dequantise,
  type VectorKind,
} from "./block.ts";
import { type Domain, domainOf, intoDomain, type Mode, outOfDomain } from "./domain.ts";
import { toSpace } from "./klt.ts";
import type { CodecModel, CodecModels } from "./model.ts";
import { fitBlock, type SteplessPlan } from "./rate-control.ts";
import { mixed, seedOf, TRACKING_SEED } from "./seed.ts";
import { requireStep, stepOf } from "./step.ts";
import type { StateCount } from "./trellis.ts";

export interface Codec1Context {
  /** The models at hand; a decoder finds the frame's there. */
  readonly models: CodecModels;
  /** Whose delta this is, `tenant/device`, and which: what seeds are made of. */
  readonly sender: string;
  readonly epoch: number;
  readonly seq: number;
}

export interface Codec1Vector {
  /** In space 0. */
  readonly target: GridVector;
  /** What the receiver holds, in the frame's space; null: nothing. */
  readonly reference: { readonly vector: GridVector; readonly space: number } | null;
}

export interface Codec1Options {
  readonly dim: number;
  /** Of the whole coded column. */
  readonly bytesMax: number;
  readonly states: StateCount;
  readonly mode: Mode;
  readonly model: CodecModel | null;
  /** The distortion, as `nmse`, below which no more bytes are spent. Default: none. */
  readonly quality?: number;
}

export interface Codec1Encoded {
  readonly bytes: Uint8Array;
  readonly space: number;
  /** What the receiver will hold, one per vector, in `space`. */
  readonly reconstructions: GridVector[];
  /** Σ‖x − x̂‖² / Σ‖x‖² over all targets; 0 when they are all zero (P7). */
  readonly nmse: number;
  readonly step: number;
}

export interface Codec1Decoded {
  readonly space: number;
  readonly mode: Mode;
  /** One per vector: what to add to its reference, or, absolute, the vector. */
  readonly residuals: Int32Array[];
}

const FLAG_UNBIASED = 1;
const FLAG_64 = 2;
const HEAD_BYTES = 5;
/** No honest residual is larger; the sum with a reference saturates anyway. */
const RESIDUAL_MAX = 0x1ffff;
const SCALE_MAX = 255;
const SCALE_ONE = 2;

/**
 * The best coding of at most `bytesMax` bytes. Null when nothing fits, not even at the coarsest step,
 * or when there are more numbers than one frame may hold: the sender's cue to split. Throws
 * `SerializationError("reference.space")` for a reference that is not in the frame's space.
 */
export function encodeCodec1(
  vectors: readonly Codec1Vector[],
  options: Codec1Options,
  context: Codec1Context,
): Codec1Encoded | null {
  const { dim, model, mode, states } = options;
  assert(model === null || model.dim === dim, "the model has the vectors' dimension");
  const domain = domainOf(mode, model, dim);
  if (vectors.length * domain.length > BLOCK_COEFFICIENTS_MAX) return null;
  const space = model === null ? 0 : model.version;
  requireSpace(vectors, space);
  const inSpace = vectors.map(({ target }) => target);
  const targets = model === null ? inSpace : toSpace(model, inSpace);
  const seeds = seedsOf(mode, context, vectors.length);
  const coefficients = coefficientsOf(vectors, targets, model, domain, seeds);

  const plan: SteplessPlan = {
    dim: domain.length,
    states,
    spectrum: domain.spectrum,
    kinds: vectors.map(({ reference }) => (reference === null ? "absolute" : "difference")),
    gain: domain.gain,
  };
  const scaleBytes = mode === "unbiased" ? vectors.length : 0;
  const energy = energyOf(targets);
  const fitted = fitBlock(coefficients, plan, {
    bytesMax: options.bytesMax - HEAD_BYTES - scaleBytes,
    distortionEnough: (options.quality ?? 0) * energy * loudness(domain),
  });
  if (fitted === null) return null;

  const decoded = dequantise(fitted.indices, fitted.plan);
  const bytes = new Uint8Array(HEAD_BYTES + scaleBytes + fitted.bytes.length);
  writeHead(bytes, options, space, fitted.plan.step);
  const scales = bytes.subarray(HEAD_BYTES, HEAD_BYTES + scaleBytes);
  for (let index = 0; index < scaleBytes; index += 1) {
    scales[index] = scaleOf(coefficients, decoded, index, domain.length, seeds);
  }
  bytes.set(fitted.bytes, HEAD_BYTES + scaleBytes);
  const residuals = residualsOf(decoded, fitted.plan, scales, model, domain, seeds, dim);
  const reconstructions = residuals.map((residual, index) =>
    reconstruct(vectors[index]?.reference?.vector ?? null, residual),
  );
  const wrong = energyOf(targets, reconstructions);
  const nmse = energy === 0 ? 0 : wrong / energy;
  return { bytes, space, reconstructions, nmse, step: fitted.plan.step };
}

function requireSpace(vectors: readonly Codec1Vector[], space: number): void {
  for (const [index, { reference }] of vectors.entries()) {
    if (reference === null || reference.space === space) continue;
    throw new SerializationError(
      "reference.space",
      `the reference of vector ${index} must be in space ${space}: it is in ${reference.space}`,
      { detail: { index, space: reference.space } },
    );
  }
}

function seedsOf(mode: Mode, context: Codec1Context, count: number): Uint32Array {
  const { sender, epoch, seq } = context;
  const seeds = new Uint32Array(count).fill(TRACKING_SEED);
  return mode === "tracking" ? seeds : seeds.map((_, index) => seedOf(sender, epoch, seq, index));
}

/** What is left of the vectors beyond what the receiver knows, in the domain. */
function coefficientsOf(
  vectors: readonly Codec1Vector[],
  targets: readonly GridVector[],
  model: CodecModel | null,
  domain: Domain,
  seeds: Uint32Array,
): Float64Array {
  const coefficients = new Float64Array(vectors.length * domain.length);
  for (const [index, target] of targets.entries()) {
    const known = vectors[index]?.reference?.vector ?? model?.mean ?? null;
    assert(
      known === null || known.length === target.length,
      "target and reference share a dimension",
    );
    const at = index * domain.length;
    for (let i = 0; i < target.length; i += 1) {
      const base = known === null ? 0 : (known[i] as number);
      coefficients[at + i] = (target[i] as number) - base;
    }
    intoDomain(domain, coefficients, at, seeds[index] as number);
  }
  return coefficients;
}

/** Σ‖x − x̂‖², or Σ‖x‖² without x̂. */
function energyOf(vectors: readonly GridVector[], others?: readonly GridVector[]): number {
  let energy = 0;
  for (const [index, vector] of vectors.entries()) {
    const other = others?.[index];
    for (let at = 0; at < vector.length; at += 1) {
      const off = (vector[at] as number) - (other === undefined ? 0 : (other[at] as number));
      energy += off * off;
    }
  }
  return energy;
}

/** How much larger an error is in the domain than in space. */
function loudness({ whitening, length }: Domain): number {
  if (whitening === null) return 1;
  let quiet = 0;
  for (const factor of whitening) quiet += 1 / (factor * factor);
  return length / quiet;
}

/** The scale byte that makes vector `index` unbiased. */
function scaleOf(
  coefficients: Float64Array,
  decoded: Float64Array,
  index: number,
  length: number,
  seeds: Uint32Array,
): number {
  let square = 0;
  let product = 0;
  for (let at = index * length; at < (index + 1) * length; at += 1) {
    square += (coefficients[at] as number) ** 2;
    product += (coefficients[at] as number) * (decoded[at] as number);
  }
  const scale = product > 0 ? square / product : 1;
  let byte = 0;
  while (byte < SCALE_MAX - 1 && stepOf(byte + 1) <= scale * SCALE_ONE) byte += 1;
  const odds = (scale * SCALE_ONE - stepOf(byte)) / (stepOf(byte + 1) - stepOf(byte));
  return mixed((seeds[index] as number) + 1) / 2 ** 32 < odds ? byte + 1 : byte;
}

function writeHead(bytes: Uint8Array, options: Codec1Options, space: number, step: number): void {
  const view = new DataView(bytes.buffer);
  const mode = options.mode === "unbiased" ? FLAG_UNBIASED : 0;
  view.setUint8(0, mode | (options.states === 64 ? FLAG_64 : 0));
  view.setUint16(1, space, true);
  view.setUint16(3, step, true);
}

/**
 * Undoes {@link encodeCodec1}; `kinds` are known from the frame's refs. Throws
 * `ProtocolError("codec.…")` on anything but exactly what an encoder writes; `codec.model` says that
 * the frame's model is not at hand.
 */
export function decodeCodec1(
  bytes: Uint8Array,
  kinds: readonly VectorKind[],
  dim: number,
  context: Codec1Context,
): Codec1Decoded {
  if (bytes.length < HEAD_BYTES) {
    throw new ProtocolError("codec.truncated", "codec 1 begins with five bytes");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const flags = view.getUint8(0);
  if (flags > (FLAG_UNBIASED | FLAG_64)) {
    throw new ProtocolError("codec.flags", `codec 1 has no such flags: ${flags}`);
  }
  const mode = flags & FLAG_UNBIASED ? "unbiased" : "tracking";
  const space = view.getUint16(1, true);
  const model = space === 0 ? null : requireModel(context.models, space, dim);
  const domain = domainOf(mode, model, dim);
  const plan: BlockPlan = {
    dim: domain.length,
    states: flags & FLAG_64 ? 64 : 8,
    step: requireStep(view.getUint16(3, true)),
    spectrum: domain.spectrum,
    kinds,
    gain: domain.gain,
  };
  const streamAt = HEAD_BYTES + (mode === "unbiased" ? kinds.length : 0);
  const decoded = dequantise(decodeIndices(bytes.subarray(streamAt), plan), plan);
  const scales = bytes.subarray(HEAD_BYTES, streamAt);
  const seeds = seedsOf(mode, context, kinds.length);
  return { space, mode, residuals: residualsOf(decoded, plan, scales, model, domain, seeds, dim) };
}

function requireModel(models: CodecModels, version: number, dim: number): CodecModel {
  const model = models.get(version);
  if (model?.dim === dim) return model;
  const why = model === null ? "is not at hand" : `is not of dimension ${dim}`;
  throw new ProtocolError("codec.model", `codec model ${version} ${why}`, { detail: { version } });
}

/** From decoded coefficients to whole grid steps in space: the same on both sides of the wire. */
function residualsOf(
  decoded: Float64Array,
  { kinds, dim: length }: BlockPlan,
  scales: Uint8Array,
  model: CodecModel | null,
  domain: Domain,
  seeds: Uint32Array,
  dim: number,
): Int32Array[] {
  return kinds.map((kind, index) => {
    const at = index * length;
    if (scales.length > 0) {
      const scale = stepOf(scales[index] as number) / SCALE_ONE;
      for (let i = at; i < at + length; i += 1) decoded[i] = (decoded[i] as number) * scale;
    }
    outOfDomain(domain, decoded, at, seeds[index] as number);
    const mean = kind === "absolute" && model !== null ? model.mean : null;
    const residual = new Int32Array(dim);
    for (let i = 0; i < dim; i += 1) {
      const rounded = Math.round(decoded[at + i] as number);
      const bounded = Math.min(RESIDUAL_MAX, Math.max(-RESIDUAL_MAX, rounded));
      residual[i] = bounded + (mean === null ? 0 : (mean[i] as number));
    }
    return residual;
  });
}
