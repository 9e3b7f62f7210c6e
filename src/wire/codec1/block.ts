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
 * Sources: Joshi, Crump and Fischer, "Image subband coding using arithmetic coded trellis coded
 * quantization" (1995); ISO/IEC 15444-2 annex; ITU-T H.266 8.7.3 (dependent quantisation).
 * @module
 */
import { assert, ProtocolError } from "../../core/index.ts";
import {
  type EntropyModel,
  ESCAPE,
  ESCAPE_LENGTH_BITS,
  entropyModelOf,
  MAGNITUDE_MAX,
  ROW_SHIFTS,
  ROW_STARTS,
  rowOf,
  SHIFT_UNIT,
} from "./entropy.ts";
import { RansDecoder, RansEncoder } from "./rans.ts";
import { stepOf } from "./step.ts";
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
  /** Whether absolute vectors carry a gain of their own, for a spectrum that is only a shape. */
  readonly gain: boolean;
}

/** Coefficients in one block: what a decoder allocates for one is bounded by this, not by the peer. */
export const BLOCK_COEFFICIENTS_MAX = 1 << 17;
/** The price of a bit in squared steps: what makes the least distortion for the bytes. */
const LAMBDA: Readonly<Record<StateCount, number>> = { 8: 0.5, 64: 0.5 };
/** A residual's spectrum is flat up to this many 1/32 octaves above the step. */
const DIFFERENCE_CAP = 48;

const searches = new Map<StateCount, TrellisSearch>();
const encoder = new RansEncoder();

/** The trellis indices of `coefficients` (n · dim, grid steps); magnitudes saturate at 32,767. */
export function quantiseBlock(coefficients: Float64Array, plan: BlockPlan): Int16Array {
  const indices = new Int16Array(coefficients.length);
  searchBlock(coefficients, plan, LAMBDA[plan.states], indices);
  return indices;
}

/** As {@link quantiseBlock}, at any price of a bit; returns the bits, to within rounding. */
export function searchBlock(
  coefficients: Float64Array,
  plan: BlockPlan,
  lambda: number,
  indices: Int16Array,
): number {
  const { dim, kinds } = plan;
  assert(coefficients.length === kinds.length * dim, "a block is n vectors of dim coefficients");
  const search = searchOf(plan.states);
  search.price(lambda);
  const scale = 1 / stepOf(plan.step);
  const values = new Float64Array(dim);
  let bits = 0;
  for (const [index, kind] of kinds.entries()) {
    const rows = rowsOf(plan, kind);
    for (let at = 0; at < dim; at += 1) {
      values[at] = (coefficients[index * dim + at] as number) * scale;
    }
    bits += search.run(values, rows, indices.subarray(index * dim, (index + 1) * dim));
  }
  return bits;
}

function searchOf(states: StateCount): TrellisSearch {
  let search = searches.get(states);
  if (search === undefined) {
    search = new TrellisSearch(states, entropyModelOf(states));
    searches.set(states, search);
  }
  return search;
}

function rowsOf(plan: BlockPlan, kind: VectorKind): Uint8Array {
  const rows = new Uint8Array(plan.dim);
  const cap = kind === "absolute" ? 32767 : plan.step + DIFFERENCE_CAP;
  for (let at = 0; at < plan.dim; at += 1) {
    rows[at] = rowOf(Math.min(cap, plan.spectrum[at] as number), plan.step);
  }
  return rows;
}

/** The bytes of a block's indices. */
export function encodeIndices(indices: Int16Array, plan: BlockPlan): Uint8Array {
  const { dim, kinds } = plan;
  const { next } = TRELLISES[plan.states];
  const { starts } = entropyModelOf(plan.states);
  for (const [index, kind] of kinds.entries()) {
    const rows = rowsOf(plan, kind);
    let state = 0;
    for (let at = 0; at < dim; at += 1) {
      const signed = indices[index * dim + at] as number;
      putIndex(encoder, starts, ((rows[at] as number) + (state & 1)) * ROW_STARTS, signed);
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  return encoder.finish();
}

function putIndex(encoder: RansEncoder, starts: Uint16Array, base: number, index: number): void {
  const magnitude = Math.abs(index);
  const symbol = Math.min(magnitude, ESCAPE);
  const start = starts[base + symbol] as number;
  const share = (starts[base + symbol + 1] as number) - start;
  if (index === 0) encoder.put(start, share);
  else encoder.put(index > 0 ? start : start + (share >> 1), share >> 1);
  if (symbol < ESCAPE) return;
  const excess = magnitude - ESCAPE + 1;
  const length = 32 - Math.clz32(excess);
  encoder.putBits(length, ESCAPE_LENGTH_BITS);
  encoder.putBits(excess - (1 << (length - 1)), length - 1);
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
  const { next } = TRELLISES[plan.states];
  const { starts } = entropyModelOf(plan.states);
  const decoder = new RansDecoder(bytes);
  const indices = new Int16Array(count);
  for (const [index, kind] of kinds.entries()) {
    const rows = rowsOf(plan, kind);
    const offset = index * dim;
    let state = 0;
    for (let at = 0; at < dim; at += 1) {
      const base = ((rows[at] as number) + (state & 1)) * ROW_STARTS;
      let signed = decoder.symbol(starts, base);
      if (signed === ESCAPE || signed === -ESCAPE) signed = takeEscape(decoder, signed);
      indices[offset + at] = signed;
      state = next[2 * state + (signed & 1)] as number;
    }
  }
  decoder.end();
  return indices;
}

function takeEscape(decoder: RansDecoder, symbol: number): number {
  const length = decoder.bits(ESCAPE_LENGTH_BITS);
  if (length === 0) throw new ProtocolError("codec.escape", "an escape without digits");
  const excess = (1 << (length - 1)) + decoder.bits(length - 1);
  const magnitude = ESCAPE - 1 + excess;
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
  const trellis = TRELLISES[plan.states];
  const model = entropyModelOf(plan.states);
  for (const [index, kind] of kinds.entries()) {
    const rows = rowsOf(plan, kind);
    dequantiseRow(indices, coefficients, index * dim, rows, trellis, model, unit);
  }
  return coefficients;
}

function dequantiseRow(
  indices: Int16Array,
  coefficients: Float64Array,
  offset: number,
  rows: Uint8Array,
  trellis: Trellis,
  model: EntropyModel,
  unit: number,
): void {
  let state = 0;
  for (let at = 0; at < rows.length; at += 1) {
    const index = indices[offset + at] as number;
    if (index !== 0) {
      const magnitude = Math.abs(index);
      const q = state & 1;
      const row = (rows[at] as number) + q;
      const shift = model.shifts[row * ROW_SHIFTS + Math.min(magnitude, 3)] as number;
      const value = levelOf(q, magnitude) * SHIFT_UNIT - shift;
      coefficients[offset + at] = (index < 0 ? -value : value) * unit;
    }
    state = trellis.next[2 * state + (index & 1)] as number;
  }
}
