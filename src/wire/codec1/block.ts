/**
 * The coefficient coder: a block of vectors ↔ trellis indices ↔ bytes.
 *
 *   quantiseBlock   coefficients → indices   lossy, the encoder's choice (viterbi.ts)
 *   encodeIndices   indices → bytes          lossless, static rANS
 *   decodeIndices   bytes → indices
 *   dequantise      indices → coefficients   exact
 *
 * One step serves all coefficients of all vectors, which is reverse water-filling by itself: where
 * the spectrum lies below the step almost every index is 0 and costs next to nothing. Every vector
 * starts in state 0 of the trellis, so its indices mean the same alone as in any block.
 *
 * The stream is one vector after the other. A rotated one begins with its class, as the difference
 * to that of the last vector of its kind (13 for the first): zigzagged (0, −1, 1, −2 …), plus one, as
 * that number's binary digits after as many zeros as digits follow the first (Elias gamma).
 * Every other index is one symbol; a magnitude ≥ 15 is followed by (magnitude − 14): the number of
 * its digits (4 bits) and those behind the first.
 *
 * Sources: Joshi, Crump and Fischer, "Image subband coding using arithmetic coded trellis coded
 * quantization" (1995); ISO/IEC 15444-2 (JPEG 2000 part 2); ITU-T H.266 (dependent quantisation).
 * @module
 */
import { assert, ProtocolError } from "../../core/index.ts";
import {
  type Contexts,
  followedContexts,
  knownContexts,
  levelContexts,
  MEAN_FIRST,
  meanAfter,
  rowAt,
  rowOfIndices,
} from "./contexts.ts";
import {
  CLASSES,
  type EntropyModel,
  ESCAPE,
  ESCAPE_LENGTH_BITS,
  entropyModelOf,
  escapeBits,
  MAGNITUDE_MAX,
  ROW_SHIFTS,
  ROW_STARTS,
  rowOf,
  SHIFT_UNIT,
  SYMBOLS,
} from "./entropy.ts";
import { RansDecoder, RansEncoder } from "./rans.ts";
import { STEPS_PER_OCTAVE, stepOf } from "./step.ts";
import { levelOf, type StateCount, TRELLISES, type Trellis } from "./trellis.ts";
import { TrellisSearch } from "./viterbi.ts";

export type VectorKind = "absolute" | "difference";

export interface BlockPlan {
  readonly dim: number;
  readonly states: StateCount;
  /** Step index, 0…1023. */
  readonly step: number;
  /** round(32 · log2 σ) of each coefficient, σ in grid steps. */
  readonly spectrum: Int16Array;
  /** One per vector. */
  readonly kinds: readonly VectorKind[];
  /** Rotated vectors of any width: one class for all coefficients of a vector, and no spectrum. */
  readonly gain: boolean;
}

/** What a search found: the bits of its indices, and the distortion in squared grid steps. */
export interface BlockCost {
  readonly bits: number;
  readonly distortion: number;
}

/** Coefficients in one block: what a decoder allocates is bounded by this, not by the peer. */
export const BLOCK_COEFFICIENTS_MAX = 1 << 17;
/** The price of a bit in squared steps that makes the least distortion for the bytes. */
export const LAMBDA: Readonly<Record<StateCount, number>> = { 8: 0.5, 64: 0.5 };
const CLASS_FIRST = 13;
const CLASS_DIGITS_MAX = 7;

const searches = new Map<StateCount, TrellisSearch>();
const encoder = new RansEncoder();

/** What all vectors of a block share. */
class Block {
  readonly trellis: Trellis;
  readonly model: EntropyModel;
  readonly #plan: BlockPlan;
  readonly #ofRow: (Contexts | undefined)[] = [];
  readonly #ofKind: Readonly<Record<VectorKind, Contexts>>;
  readonly #classes: Record<VectorKind, number>;

  constructor(plan: BlockPlan) {
    this.#plan = plan;
    this.trellis = TRELLISES[plan.states];
    this.model = entropyModelOf(plan.states);
    const absolute = knownContexts(plan.spectrum, plan.step);
    this.#ofKind = { absolute, difference: followedContexts(absolute, this.model) };
    this.#classes = { absolute: CLASS_FIRST, difference: CLASS_FIRST };
  }

  ofKind(kind: VectorKind): Contexts {
    return this.#ofKind[kind];
  }

  ofRow(row: number): Contexts {
    let contexts = this.#ofRow[row];
    if (contexts === undefined) {
      contexts = levelContexts(this.#plan.dim, row);
      this.#ofRow[row] = contexts;
    }
    return contexts;
  }

  /** The contexts of a vector whose indices are known. */
  of(kind: VectorKind, indices: Int16Array): Contexts {
    if (!this.#plan.gain) return this.#ofKind[kind];
    return this.ofRow(rowOfIndices(indices, this.trellis, this.model));
  }

  /** The class after the last one of its kind, as a number ≥ 1 that is small when little changed. */
  changeTo(kind: VectorKind, row: number): number {
    const change = (row >> 1) - this.#classes[kind];
    this.#classes[kind] = row >> 1;
    return change < 0 ? -2 * change : 2 * change + 1;
  }

  /** Undoes {@link changeTo}: the row, or −1 when there is no such class. */
  rowAfter(kind: VectorKind, change: number): number {
    const index = this.#classes[kind] + (change & 1 ? change >> 1 : -(change >> 1));
    this.#classes[kind] = index;
    return index >= 0 && index < CLASSES ? 2 * index : -1;
  }
}

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
    mean = meanAfter(mean, size < 0.75 ? 0 : size, contexts.paces[at] as number);
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
    mean = meanAfter(mean, levelOf(q, magnitude), contexts.paces[at] as number);
    state = next[2 * state + (index & 1)] as number;
  }
  return bits;
}

function digitsOf(number: number): number {
  return 32 - Math.clz32(number);
}

/** The bytes of a block's indices. */
export function encodeIndices(indices: Int16Array, plan: BlockPlan): Uint8Array {
  const { dim, kinds } = plan;
  const block = new Block(plan);
  const { next } = block.trellis;
  const { starts } = block.model;
  for (const [index, kind] of kinds.entries()) {
    const contexts = block.of(kind, indices.subarray(index * dim, (index + 1) * dim));
    if (plan.gain) putClass(block.changeTo(kind, contexts.ceilings[0] as number));
    let state = 0;
    let mean = MEAN_FIRST;
    for (let at = 0; at < dim; at += 1) {
      const signed = indices[index * dim + at] as number;
      const q = state & 1;
      putIndex(starts, (rowAt(contexts, at, mean) + q) * ROW_STARTS, signed);
      mean = meanAfter(mean, levelOf(q, Math.abs(signed)), contexts.paces[at] as number);
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  return encoder.finish();
}

function putClass(change: number): void {
  const digits = digitsOf(change);
  for (let zeros = 1; zeros < digits; zeros += 1) encoder.putBits(0, 1);
  encoder.putBits(1, 1);
  encoder.putBits(change - (1 << (digits - 1)), digits - 1);
}

function putIndex(starts: Uint16Array, base: number, index: number): void {
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
  const { dim, kinds } = plan;
  const count = dim * kinds.length;
  if (count > BLOCK_COEFFICIENTS_MAX) {
    throw new ProtocolError(
      "codec.count",
      `a block has at most ${BLOCK_COEFFICIENTS_MAX} numbers`,
      {
        detail: { count },
      },
    );
  }
  const block = new Block(plan);
  const { next } = block.trellis;
  const { starts } = block.model;
  const decoder = new RansDecoder(bytes);
  const indices = new Int16Array(count);
  for (const [index, kind] of kinds.entries()) {
    const contexts = plan.gain ? block.ofRow(takeClass(decoder, block, kind)) : block.ofKind(kind);
    const offset = index * dim;
    let state = 0;
    let mean = MEAN_FIRST;
    for (let at = 0; at < dim; at += 1) {
      const q = state & 1;
      let signed = decoder.symbol(starts, (rowAt(contexts, at, mean) + q) * ROW_STARTS);
      if (signed === ESCAPE || signed === -ESCAPE) signed = takeEscape(decoder, signed);
      indices[offset + at] = signed;
      mean = meanAfter(mean, levelOf(q, Math.abs(signed)), contexts.paces[at] as number);
      state = next[2 * state + (signed & 1)] as number;
    }
    if (contexts !== block.of(kind, indices.subarray(offset, offset + dim))) {
      throw new ProtocolError("codec.class", `vector ${index} is not of the class that it names`);
    }
  }
  decoder.end();
  return indices;
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

function takeEscape(decoder: RansDecoder, symbol: number): number {
  const digits = decoder.bits(ESCAPE_LENGTH_BITS);
  if (digits === 0) throw new ProtocolError("codec.escape", "an escape without digits");
  const magnitude = ESCAPE - 1 + (1 << (digits - 1)) + decoder.bits(digits - 1);
  if (magnitude > MAGNITUDE_MAX) {
    throw new ProtocolError("codec.escape", `an index is at most 32767: got ${magnitude}`);
  }
  return symbol < 0 ? -magnitude : magnitude;
}

/** The coefficients that a block's indices stand for, in grid steps: exact. */
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
      mean = meanAfter(mean, level, contexts.paces[at] as number);
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  return coefficients;
}
