/**
 * The coefficient coder: a block of vectors ↔ trellis indices ↔ bytes.
 *
 *   quantiseBlock   coefficients → indices   lossy, the encoder's choice (viterbi.ts)
 *   encodeIndices   indices → bytes          lossless (indices.ts)
 *   decodeIndices   bytes → indices
 *   dequantise      indices → coefficients   exact
 *   decodeBlock     bytes → coefficients
 *   decodeWhole     bytes → coefficients, rounded
 *
 * One step serves all coefficients of all vectors, which is reverse water-filling by itself: where
 * the spectrum lies below the step almost every index is 0 and costs next to nothing. Every vector
 * starts in state 0 of the trellis, so its indices mean the same alone as in any block.
 *
 * Sources: Joshi, Crump and Fischer, "Image subband coding using arithmetic coded trellis coded
 * quantization" (1995); ISO/IEC 15444-2 (JPEG 2000 part 2); ITU-T H.266 (dependent quantisation).
 * @module
 */
import { assert } from "../../core/index.ts";
import { type Contexts, MEAN_FIRST, meanAfter, rowAt } from "./contexts.ts";
import {
  digitsOf,
  ESCAPE,
  entropyModelOf,
  escapeBits,
  ROW_SHIFTS,
  rowOf,
  SHIFT_UNIT,
  SYMBOLS,
} from "./entropy.ts";
import { decodeIndices, decodeValues } from "./indices.ts";
import { Block, type BlockPlan, type VectorKind } from "./plan.ts";
import { STEPS_PER_OCTAVE, stepOf } from "./step.ts";
import { levelOf, type StateCount } from "./trellis.ts";
import { TrellisSearch } from "./viterbi.ts";

export { BLOCK_COEFFICIENTS_MAX, decodeIndices, decodeWhole, encodeIndices } from "./indices.ts";
export type { BlockPlan, VectorKind } from "./plan.ts";

/** What a search found: the bits of its indices, and the distortion in squared grid steps. */
export interface BlockCost {
  readonly bits: number;
  readonly distortion: number;
}

/** The price of a bit in squared steps that makes the least distortion for the bytes. */
export const LAMBDA: Readonly<Record<StateCount, number>> = { 8: 0.5, 64: 0.5 };
/** A value of fewer steps counts as 0 where a search foresees the levels. */
const FORESEEN_MIN = 0.75;

const searches = new Map<StateCount, TrellisSearch>();

/** The trellis indices of `coefficients` (n · dim, grid steps); magnitudes saturate at 32,767. */
export function quantiseBlock(coefficients: Float64Array, plan: BlockPlan): Int16Array {
  const indices = new Int16Array(coefficients.length);
  searchBlock(coefficients, plan, LAMBDA[plan.states], indices);
  return indices;
}

/** As {@link quantiseBlock}, at any price of a bit. */
export function searchBlock(
  coefficients: Float64Array,
  plan: BlockPlan,
  lambda: number,
  indices: Int16Array,
): BlockCost {
  const { dim, kinds, gain } = plan;
  assert(coefficients.length === kinds.length * dim, "a block is n vectors of dim coefficients");
  const block = new Block(plan);
  const search = searchOf(plan.states);
  search.price(lambda);
  const step = stepOf(plan.step);
  const scale = 1 / step;
  const values = new Float64Array(dim);
  const foreseen = new Uint8Array(dim);
  let bits = 0;
  let distortion = 0;
  for (const [index, kind] of kinds.entries()) {
    let energy = 0;
    for (let at = 0; at < dim; at += 1) {
      const value = (coefficients[index * dim + at] as number) * scale;
      values[at] = value;
      energy += value * value;
    }
    const contexts = gain ? block.ofRow(rowOfEnergy(energy / dim)) : block.ofKind(kind);
    const follows = !gain && kind === "difference";
    const rows = follows ? foreseeRows(values, contexts, foreseen) : contexts.ceilings;
    const found = indices.subarray(index * dim, (index + 1) * dim);
    search.run(values, rows, found);
    distortion += search.cost - lambda * search.bits;
    bits += gain || follows ? bitsOf(found, block, kind, gain) : search.bits;
  }
  return { bits, distortion: distortion * step * step };
}

function searchOf(states: StateCount): TrellisSearch {
  let search = searches.get(states);
  if (search === undefined) {
    search = new TrellisSearch(states, entropyModelOf(states));
    searches.set(states, search);
  }
  return search;
}

/** The row of values in steps with this mean square. */
function rowOfEnergy(energy: number): number {
  return rowOf(Math.round((STEPS_PER_OCTAVE / 2) * Math.log2(energy + 1e-9)), 0);
}

/** The rows that a search may reckon with before the indices are known: from the values. */
function foreseeRows(values: Float64Array, contexts: Contexts, rows: Uint8Array): Uint8Array {
  let mean = MEAN_FIRST;
  for (let at = 0; at < values.length; at += 1) {
    rows[at] = rowAt(contexts, at, mean);
    const size = Math.abs(values[at] as number);
    mean = meanAfter(contexts, at, mean, size < FORESEEN_MIN ? 0 : size);
  }
  return rows;
}

/** What the indices of one vector take: a search that only foresaw the rows does not know. */
function bitsOf(indices: Int16Array, block: Block, kind: VectorKind, gain: boolean): number {
  const { model } = block;
  const { next } = block.trellis;
  const contexts = block.of(kind, indices);
  let bits = gain ? 2 * digitsOf(block.changeTo(kind, contexts.ceilings[0] as number)) - 1 : 0;
  let state = 0;
  let mean = MEAN_FIRST;
  for (let at = 0; at < indices.length; at += 1) {
    const index = indices[at] as number;
    const magnitude = Math.abs(index);
    const q = state & 1;
    const row = rowAt(contexts, at, mean) + q;
    bits += model.bits[row * SYMBOLS + Math.min(magnitude, ESCAPE)] as number;
    if (magnitude >= ESCAPE) bits += escapeBits(magnitude);
    mean = meanAfter(contexts, at, mean, levelOf(q, magnitude));
    state = next[2 * state + (index & 1)] as number;
  }
  return bits;
}

/**
 * The coefficients that a block's indices stand for, in grid steps: exact.
 */
export function dequantise(indices: Int16Array, plan: BlockPlan): Float64Array {
  const { dim, kinds } = plan;
  const coefficients = new Float64Array(indices.length);
  const unit = stepOf(plan.step) / SHIFT_UNIT;
  const block = new Block(plan);
  const { next } = block.trellis;
  const { shifts } = block.model;
  for (const [index, kind] of kinds.entries()) {
    const contexts = block.of(kind, indices.subarray(index * dim, (index + 1) * dim));
    let state = 0;
    let mean = MEAN_FIRST;
    for (let at = 0; at < dim; at += 1) {
      const signed = indices[index * dim + at] as number;
      const magnitude = Math.abs(signed);
      const q = state & 1;
      const level = levelOf(q, magnitude);
      if (magnitude > 0) {
        const row = rowAt(contexts, at, mean) + q;
        const shift = shifts[row * ROW_SHIFTS + Math.min(magnitude, 3)] as number;
        const value = (level * SHIFT_UNIT - shift) * unit;
        coefficients[index * dim + at] = signed < 0 ? -value : value;
      }
      mean = meanAfter(contexts, at, mean, level);
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  return coefficients;
}

/**
 * What the indices in `bytes` stand for: `dequantise` of `decodeIndices`, and without a plan's `gain`
 * in one pass. Throws `ProtocolError("codec.…")` as that does.
 */
export function decodeBlock(bytes: Uint8Array, plan: BlockPlan): Float64Array {
  if (plan.gain) return dequantise(decodeIndices(bytes, plan), plan);
  const { dim, step, kinds } = plan;
  const vectors = decodeValues(bytes, plan);
  const unit = stepOf(step) / SHIFT_UNIT;
  const coefficients = new Float64Array(kinds.length * dim);
  for (const [index, values] of vectors.entries()) {
    for (let at = 0; at < dim; at += 1)
      coefficients[index * dim + at] = (values[at] as number) * unit;
  }
  return coefficients;
}
