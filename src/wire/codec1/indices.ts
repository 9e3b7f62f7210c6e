/**
 * Indices ↔ bytes: the lossless half of the coefficient coder.
 *
 * The stream (rans.ts) is one vector after the other, one symbol per index. A magnitude ≥ 15 is the
 * escape and then magnitude − 14: the number of its binary digits (4 bits) and those behind the first.
 *
 * A rotated vector (a plan's `gain`) begins with its class, as the difference to that of the last
 * vector of its kind, or 13: zigzagged (0, −1, 1, −2 …), plus one, and then as Elias's gamma code has
 * it: as many single bits 0 as digits follow the first, a single bit 1, and those digits together.
 * @module
 */
import { assert, limits, ProtocolError } from "../../core/index.ts";
import type { GridVector, Residual } from "../grid.ts";
import { MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import {
  digitsOf,
  type EntropyModel,
  ESCAPE,
  ESCAPE_LENGTH_BITS,
  MAGNITUDE_MAX,
  ROW_STARTS,
} from "./entropy.ts";
import { AS_INDICES, asValues, asWholeSteps, type Meaning } from "./meanings.ts";
import { Block, type BlockPlan, type VectorKind } from "./plan.ts";
import { RansDecoder, RansEncoder } from "./rans.ts";
import { levelOf } from "./trellis.ts";
import { readVector } from "./vector-reader.ts";

/** Coefficients in one block, so that a decoder never allocates a megabyte at once, whoever asks. */
export const BLOCK_COEFFICIENTS_MAX = 120_000;
const CLASS_DIGITS_MAX = 7;
/** Symbols beyond one per index that an encoder expects. */
const ROOM = 256;
const NOTHING_KNOWN = new Int16Array(limits.DIMENSION_MAX);

/** The bytes of a block's indices. */
export function encodeIndices(indices: Int16Array, plan: BlockPlan): Uint8Array {
  const { dim, kinds } = plan;
  const block = new Block(plan);
  const { next } = block.trellis;
  const { starts } = block.model;
  const encoder = new RansEncoder(indices.length + ROOM);
  for (const [index, kind] of kinds.entries()) {
    const contexts = block.of(kind, indices.subarray(index * dim, (index + 1) * dim));
    if (plan.gain) putClass(encoder, block.changeTo(kind, contexts.ceilings[0] as number));
    let state = 0;
    let mean = MEAN_FIRST;
    for (let at = 0; at < dim; at += 1) {
      const signed = indices[index * dim + at] as number;
      const q = state & 1;
      putIndex(encoder, starts, (rowAt(contexts, at, mean) + q) * ROW_STARTS, signed);
      mean = meanAfter(contexts, at, mean, levelOf(q, Math.abs(signed)));
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  return encoder.finish();
}

function putClass(encoder: RansEncoder, change: number): void {
  const digits = digitsOf(change);
  for (let zeros = 1; zeros < digits; zeros += 1) encoder.putBits(0, 1);
  encoder.putBits(1, 1);
  encoder.putBits(change - (1 << (digits - 1)), digits - 1);
}

function putIndex(encoder: RansEncoder, starts: Uint16Array, base: number, index: number): void {
  const magnitude = Math.abs(index);
  assert(magnitude <= MAGNITUDE_MAX, "an index is above −32768");
  const symbol = Math.min(magnitude, ESCAPE);
  const start = starts[base + symbol] as number;
  const share = (starts[base + symbol + 1] as number) - start;
  if (index === 0) encoder.put(start, share);
  else encoder.put(index > 0 ? start : start + (share >> 1), share >> 1);
  if (symbol < ESCAPE) return;
  const excess = magnitude - ESCAPE + 1;
  const digits = digitsOf(excess);
  encoder.putBits(digits, ESCAPE_LENGTH_BITS);
  encoder.putBits(excess - (1 << (digits - 1)), digits - 1);
}

/** Undoes {@link encodeIndices}. Throws `ProtocolError("codec.…")` unless all bytes are just that. */
export function decodeIndices(bytes: Uint8Array, plan: BlockPlan): Int16Array {
  const { dim } = plan;
  const { vectors } = readBlock(bytes, plan, () => AS_INDICES, Int16Array);
  const indices = new Int16Array(vectors.length * dim);
  for (const [index, vector] of vectors.entries()) indices.set(vector, index * dim);
  return indices;
}

/**
 * What the indices in `bytes` stand for, in whole grid steps: `dequantise` rounded as `roundInto`
 * does, and the `mean` (dim components) added to an absolute vector; one array per vector. Not for a
 * plan with `gain`. Throws as {@link decodeIndices}.
 */
export function decodeWhole(bytes: Uint8Array, plan: BlockPlan, mean: GridVector): Residual[] {
  const meaningOf = (model: EntropyModel) => asWholeSteps(model, plan.step);
  const narrow = readBlock(bytes, plan, meaningOf, Int16Array, mean);
  return narrow.fits ? narrow.vectors : readBlock(bytes, plan, meaningOf, Int32Array, mean).vectors;
}

/** As {@link decodeWhole}, but in steps by `SHIFT_UNIT`, which is exact; and without a mean. */
export function decodeValues(bytes: Uint8Array, plan: BlockPlan): Int32Array[] {
  return readBlock(bytes, plan, asValues, Int32Array).vectors;
}

interface ReadBlock<Vector> {
  readonly vectors: Vector[];
  /** Whether every number fits an int16. */
  readonly fits: boolean;
}

function readBlock<Vector extends Residual>(
  bytes: Uint8Array,
  plan: BlockPlan,
  meaningOf: (model: EntropyModel) => Meaning,
  VectorArray: new (length: number) => Vector,
  mean: GridVector = NOTHING_KNOWN,
): ReadBlock<Vector> {
  const { dim, kinds, gain } = plan;
  const count = dim * kinds.length;
  if (count > BLOCK_COEFFICIENTS_MAX) {
    const what = `a block has at most ${BLOCK_COEFFICIENTS_MAX} coefficients: got ${count}`;
    throw new ProtocolError("codec.count", what, { detail: { count } });
  }
  assert(
    mean.length >= dim && dim <= NOTHING_KNOWN.length,
    "there is a number for every coefficient",
  );
  const block = new Block(plan);
  const meaning = meaningOf(block.model);
  assert(meaning === AS_INDICES || !gain, "a class is compared with the indices");
  const decoder = new RansDecoder(bytes);
  let fits = true;
  const vectors = kinds.map((kind, index) => {
    const known = kind === "absolute" ? mean : NOTHING_KNOWN;
    const contexts = gain ? block.ofRow(takeClass(decoder, block, kind)) : block.ofKind(kind);
    const numbers = new VectorArray(dim);
    if (!readVector(decoder, block, contexts, meaning, known, numbers)) fits = false;
    if (gain && contexts !== block.of(kind, numbers)) {
      throw new ProtocolError("codec.class", `vector ${index} is not of the class that it names`);
    }
    return numbers;
  });
  decoder.finish();
  return { vectors, fits };
}

function takeClass(decoder: RansDecoder, block: Block, kind: VectorKind): number {
  let digits = 1;
  while (decoder.bits(1) === 0) {
    digits += 1;
    if (digits > CLASS_DIGITS_MAX) break;
  }
  const change = digits > CLASS_DIGITS_MAX ? 0 : (1 << (digits - 1)) + decoder.bits(digits - 1);
  const row = change === 0 ? -1 : block.rowAfter(kind, change);
  if (row >= 0) return row;
  throw new ProtocolError("codec.class", "a vector names a class that does not exist");
}
