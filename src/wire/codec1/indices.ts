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
import { assert, ProtocolError } from "../../core/index.ts";
import { MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import {
  digitsOf,
  ESCAPE,
  ESCAPE_LENGTH_BITS,
  MAGNITUDE_MAX,
  ROW_STARTS,
  SHIFT_UNIT,
} from "./entropy.ts";
import { Block, type BlockPlan, type VectorKind } from "./plan.ts";
import { RansDecoder, RansEncoder } from "./rans.ts";
import { stepOf } from "./step.ts";
import { levelOf } from "./trellis.ts";
import { readVector, type VectorSink } from "./vector-reader.ts";

/** Coefficients in one block, so that a decoder never allocates a megabyte at once, whoever asks. */
export const BLOCK_COEFFICIENTS_MAX = 120_000;
const CLASS_DIGITS_MAX = 7;
/** Symbols beyond one per index that an encoder expects. */
const ROOM = 256;

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
  const indices = new Int16Array(coefficientCount(plan));
  readBlock(bytes, plan, { at: 0, indices, coefficients: null, unit: 0 });
  return indices;
}

/** One frame after the other is decoded into these: nothing here outlives a call of {@link decodeBlock}. */
const scratch = { indices: new Int16Array(0), coefficients: new Float64Array(0) };

/**
 * What the indices in `bytes` stand for, in grid steps: as `dequantise` has it. The array is good
 * until the next call. Throws as {@link decodeIndices}.
 */
export function decodeBlock(bytes: Uint8Array, plan: BlockPlan): Float64Array {
  const count = coefficientCount(plan);
  if (scratch.indices.length < count) {
    scratch.indices = new Int16Array(count);
    scratch.coefficients = new Float64Array(count);
  }
  const coefficients = scratch.coefficients.subarray(0, count);
  // Only a class has to be compared with the indices.
  const indices = plan.gain ? scratch.indices : null;
  const unit = stepOf(plan.step) / SHIFT_UNIT;
  readBlock(bytes, plan, { at: 0, indices, coefficients, unit });
  return coefficients;
}

function coefficientCount({ dim, kinds }: BlockPlan): number {
  const count = dim * kinds.length;
  if (count <= BLOCK_COEFFICIENTS_MAX) return count;
  const what = `a block has at most ${BLOCK_COEFFICIENTS_MAX} coefficients: got ${count}`;
  throw new ProtocolError("codec.count", what, { detail: { count } });
}

function readBlock(bytes: Uint8Array, plan: BlockPlan, sink: VectorSink): void {
  const { dim, kinds, gain } = plan;
  const block = new Block(plan);
  const decoder = new RansDecoder(bytes);
  const { indices } = sink;
  assert(indices !== null || !gain, "a class is compared with the indices");
  for (let index = 0; index < kinds.length; index += 1) {
    const kind = kinds[index] as VectorKind;
    const contexts = gain ? block.ofRow(takeClass(decoder, block, kind)) : block.ofKind(kind);
    readVector(decoder, block, contexts, sink);
    if (!gain || indices === null) continue;
    if (contexts !== block.of(kind, indices.subarray(sink.at - dim, sink.at))) {
      throw new ProtocolError("codec.class", `vector ${index} is not of the class that it names`);
    }
  }
  decoder.finish();
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
