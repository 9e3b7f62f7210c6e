/**
 * Codec 1: embeddings near the Shannon limit. What stands in a frame's `coded` column.
 *
 *   0      flags: bit 0 mode (0 tracking, 1 unbiased), bit 1 states (0: 8, 1: 64), the others 0
 *   1–2    codec model, uint16 LE; 0: none
 *   3–4    step index, uint16 LE
 *   5…     mode unbiased: one scale per vector, a byte each (scales.ts)
 *   …      the indices (indices.ts)
 *
 * A vector is the difference to its reference, or absolute: the difference to the model's mean, or
 * itself when there is no model. It is taken into the mode's domain (domain.ts), quantised there,
 * and comes back as whole grid steps in the frame's space, which is the model's, or 0.
 *
 * **Tracking** makes the least error, and what is left of it the next difference mends. **Unbiased**
 * makes an error whose mean is zero, so that the mean of n senders nears the truth as 1/n; for that
 * every vector is rotated by a seed of its own.
 * @module
 */
import { assert, ProtocolError, SerializationError } from "../../core/index.ts";
import { type GridVector, type Residual, reconstruct } from "../grid.ts";
import {
  BLOCK_COEFFICIENTS_MAX,
  decodeBlock,
  decodeWhole,
  dequantise,
  type VectorKind,
} from "./block.ts";
import { type Domain, domainOf, intoDomain, loudness, type Mode, outOfDomain } from "./domain.ts";
import { toSpace } from "./klt.ts";
import type { CodecModel, CodecModels } from "./model.ts";
import { fitBlock, type SteplessPlan } from "./rate-control.ts";
import { roundInto } from "./round.ts";
import { scaleByte, scaleOf } from "./scales.ts";
import { seedOf, TRACKING_SEED } from "./seed.ts";
import { requireStep } from "./step.ts";
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
  /** One per vector: what to add to its reference or, absolute, the vector. */
  readonly residuals: Residual[];
}

const FLAG_UNBIASED = 1;
const FLAG_64 = 2;
const HEAD_BYTES = 5;

/** What both sides know before the step and the bytes that follow it. */
interface Frame {
  readonly mode: Mode;
  readonly model: CodecModel | null;
  readonly domain: Domain;
  readonly plan: SteplessPlan;
  readonly seeds: readonly number[];
  readonly scaleBytes: number;
}

function frameOf(
  mode: Mode,
  model: CodecModel | null,
  states: StateCount,
  kinds: readonly VectorKind[],
  dim: number,
  { sender, epoch, seq }: Codec1Context,
): Frame {
  const domain = domainOf(mode, model, dim);
  const { length, spectrum, gain } = domain;
  const unbiased = mode === "unbiased";
  const seeds = kinds.map((_, index) =>
    unbiased ? seedOf(sender, epoch, seq, index) : TRACKING_SEED,
  );
  const plan = { dim: length, states, spectrum, kinds, gain };
  return { mode, model, domain, plan, seeds, scaleBytes: unbiased ? kinds.length : 0 };
}

/**
 * The best coding of at most `bytesMax` bytes. Null when not even the coarsest fits, or when there
 * are more numbers than one frame may hold: the sender's cue to split. Throws
 * `SerializationError("reference.space")` for a reference that is not in the frame's space.
 */
export function encodeCodec1(
  vectors: readonly Codec1Vector[],
  options: Codec1Options,
  context: Codec1Context,
): Codec1Encoded | null {
  const { dim, model, mode, states } = options;
  assert(model === null || model.dim === dim, "the model has the vectors' dimension");
  const space = model === null ? 0 : model.version;
  requireSpace(vectors, space);
  const kinds = vectors.map(({ reference }) => (reference === null ? "absolute" : "difference"));
  const frame = frameOf(mode, model, states, kinds, dim, context);
  if (vectors.length * frame.domain.length > BLOCK_COEFFICIENTS_MAX) return null;

  const inSpace0 = vectors.map(({ target }) => target);
  const targets = model === null ? inSpace0 : toSpace(model, inSpace0);
  const coefficients = coefficientsOf(vectors, targets, frame);
  const energy = energyOf(targets);
  const fitted = fitBlock(coefficients, frame.plan, {
    bytesMax: options.bytesMax - HEAD_BYTES - frame.scaleBytes,
    distortionEnough: (options.quality ?? 0) * energy * loudness(frame.domain),
  });
  if (fitted === null) return null;

  const { step } = fitted.plan;
  const decoded = dequantise(fitted.indices, fitted.plan);
  const scales = frame.scaleBytes === 0 ? [] : scalesOf(coefficients, decoded, frame);
  const bytes = new Uint8Array(HEAD_BYTES + frame.scaleBytes + fitted.bytes.length);
  const flags = (mode === "unbiased" ? FLAG_UNBIASED : 0) | (states === 64 ? FLAG_64 : 0);
  bytes.set([flags, space & 0xff, space >> 8, step & 0xff, step >> 8, ...scales]);
  bytes.set(fitted.bytes, HEAD_BYTES + frame.scaleBytes);
  const residuals = residualsOf(decoded, scales, frame, dim);
  const reconstructions = residuals.map((residual, index) =>
    reconstruct(vectors[index]?.reference?.vector ?? null, residual),
  );
  const nmse = energy === 0 ? 0 : energyOf(targets, reconstructions) / energy;
  return { bytes, space, reconstructions, nmse, step };
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

/** What the vectors are beyond what the receiver knows, in the domain. */
function coefficientsOf(
  vectors: readonly Codec1Vector[],
  targets: readonly GridVector[],
  { model, domain, seeds }: Frame,
): Float64Array {
  const coefficients = new Float64Array(vectors.length * domain.length);
  for (const [index, target] of targets.entries()) {
    const known = vectors[index]?.reference?.vector ?? model?.mean;
    assert(known === undefined || known.length === target.length, "references have the dimension");
    const from = index * domain.length;
    for (let at = 0; at < target.length; at += 1) {
      coefficients[from + at] =
        (target[at] as number) - (known === undefined ? 0 : (known[at] as number));
    }
    intoDomain(domain, coefficients, from, seeds[index] as number);
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

function scalesOf(coefficients: Float64Array, decoded: Float64Array, frame: Frame): number[] {
  const { length } = frame.domain;
  return frame.seeds.map((seed, index) => {
    const [from, to] = [index * length, (index + 1) * length];
    return scaleByte(coefficients.subarray(from, to), decoded.subarray(from, to), seed);
  });
}

/**
 * Undoes {@link encodeCodec1}; the frame's refs say the `kinds`. Throws `ProtocolError("codec.…")`
 * unless the bytes are just what an encoder may write; `codec.model`: that model is not at hand.
 */
export function decodeCodec1(
  bytes: Uint8Array,
  kinds: readonly VectorKind[],
  dim: number,
  context: Codec1Context,
): Codec1Decoded {
  if (bytes.length < HEAD_BYTES) {
    throw new ProtocolError("codec.truncated", `codec 1 takes ${HEAD_BYTES} bytes and more`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const flags = view.getUint8(0);
  if (flags > (FLAG_UNBIASED | FLAG_64)) {
    throw new ProtocolError("codec.flags", `flags of codec 1 are 0 to 3: got ${flags}`);
  }
  const space = view.getUint16(1, true);
  const step = requireStep(view.getUint16(3, true));
  const mode = flags & FLAG_UNBIASED ? "unbiased" : "tracking";
  const model = space === 0 ? null : requireModel(context.models, space, dim);
  const frame = frameOf(mode, model, flags & FLAG_64 ? 64 : 8, kinds, dim, context);
  const plan = { ...frame.plan, step };
  const streamAt = HEAD_BYTES + frame.scaleBytes;
  const stream = bytes.subarray(streamAt);
  if (mode === "tracking" && model !== null) {
    // The domain is the space itself.
    return { space, mode, residuals: decodeWhole(stream, plan, model.mean) };
  }
  const decoded = decodeBlock(stream, plan);
  const residuals = residualsOf(decoded, bytes.subarray(HEAD_BYTES, streamAt), frame, dim);
  return { space, mode, residuals };
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
  scales: ArrayLike<number>,
  { domain, model, plan, seeds }: Frame,
  dim: number,
): Int32Array[] {
  const residuals = new Int32Array(plan.kinds.length * dim);
  return plan.kinds.map((kind, index) => {
    const from = index * domain.length;
    if (scales.length > 0) {
      const scale = scaleOf(scales[index] as number);
      for (let at = from; at < from + domain.length; at += 1) {
        decoded[at] = (decoded[at] as number) * scale;
      }
    }
    outOfDomain(domain, decoded, from, seeds[index] as number);
    const residual = residuals.subarray(index * dim, (index + 1) * dim);
    roundInto(residual, decoded, from, kind === "absolute" ? (model?.mean ?? null) : null);
    return residual;
  });
}
