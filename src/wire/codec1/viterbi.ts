/**
 * The search for the best row of indices: Viterbi's algorithm over the trellis.
 *
 * Of all rows it finds the one with the least distortion + λ · bits (rate–distortion optimised
 * quantisation), with the bits of the very tables that the coder will use. Each state keeps the best
 * path that leads to it. A path goes on with an even or an odd index of its quantiser, so the best
 * of each kind, four candidates per coefficient, serve all states. Only an encoder runs this: a
 * decoder need not know how a row was found, and another encoder may choose rows in another way.
 * @module
 */
import {
  type EntropyModel,
  ESCAPE,
  escapeBits,
  MAGNITUDE_MAX,
  ROW_SHIFTS,
  ROWS,
  SHIFT_UNIT,
  SYMBOLS,
} from "./entropy.ts";
import { type StateCount, TRELLISES, type Trellis } from "./trellis.ts";

/** Candidates of one coefficient: `2 * quantiser + parity`. */
const CANDIDATES = 4;
/** Values beyond the last level are searched as if they were there. */
const VALUE_MAX = 2 * MAGNITUDE_MAX - 6;
/** Below this many steps only 0 and 1 can be the best index of a quantiser. */
const VALUE_SMALL = 1;

export class TrellisSearch {
  readonly #trellis: Trellis;
  readonly #model: EntropyModel;
  /** The value in steps that a magnitude below 16 stands for, by row. */
  readonly #points = new Float64Array(ROWS * SYMBOLS);
  /** λ · bits, by row. */
  readonly #prices = new Float64Array(ROWS * SYMBOLS);
  #lambda = 0;
  #costs: Float64Array;
  #costsNext: Float64Array;
  readonly #candidates = new Float64Array(CANDIDATES);
  /** Per coefficient: the candidates' magnitudes, and the parity that led to each state. */
  #magnitudes = new Uint16Array(0);
  #parities = new Uint8Array(0);

  constructor(states: StateCount, model: EntropyModel) {
    this.#trellis = TRELLISES[states];
    this.#model = model;
    this.#costs = new Float64Array(states);
    this.#costsNext = new Float64Array(states);
    for (let at = 0; at < this.#points.length; at += 1) {
      const row = Math.floor(at / SYMBOLS);
      const magnitude = at % SYMBOLS;
      const shift = model.shifts[row * ROW_SHIFTS + Math.min(magnitude, 3)] as number;
      this.#points[at] = magnitude === 0 ? 0 : 2 * magnitude - (row & 1) - shift / SHIFT_UNIT;
    }
  }

  /** Sets the price of a bit, in squared steps. */
  price(lambda: number): void {
    if (this.#lambda === lambda) return;
    this.#lambda = lambda;
    for (let at = 0; at < this.#prices.length; at += 1) {
      this.#prices[at] = lambda * (this.#model.bits[at] as number);
    }
  }

  /**
   * Writes the best indices of `values` (in steps) to `indices`; `rows[i]` is coefficient i's row
   * under quantiser 0. Returns the bits they take.
   */
  run(values: Float64Array, rows: Uint8Array, indices: Int16Array): number {
    const count = values.length;
    if (this.#magnitudes.length < count * CANDIDATES) {
      this.#magnitudes = new Uint16Array(count * CANDIDATES);
      this.#parities = new Uint8Array(count * this.#trellis.states);
    }
    this.#costs.fill(Number.POSITIVE_INFINITY);
    this.#costs[0] = 0;
    for (let at = 0; at < count; at += 1) {
      const value = Math.min(VALUE_MAX, Math.abs(values[at] as number));
      const row = rows[at] as number;
      if (value < VALUE_SMALL) this.#weighSmall(value, row, at);
      else this.#weigh(value, row, at);
      this.#extend(at);
    }
    return this.#trace(values, rows, indices);
  }

  #weighSmall(value: number, row: number, at: number): void {
    const candidates = this.#candidates;
    const magnitudes = this.#magnitudes;
    for (let q = 0; q < 2; q += 1) {
      const base = (row + q) * SYMBOLS;
      const off = value - (this.#points[base + 1] as number);
      candidates[2 * q] = value * value + (this.#prices[base] as number);
      candidates[2 * q + 1] = off * off + (this.#prices[base + 1] as number);
      magnitudes[at * CANDIDATES + 2 * q] = 0;
      magnitudes[at * CANDIDATES + 2 * q + 1] = 1;
    }
  }

  /** Of each quantiser and parity, the better of the two levels around the value. */
  #weigh(value: number, row: number, at: number): void {
    for (let q = 0; q < 2; q += 1) {
      const below = (value + q) >> 1;
      for (let parity = 0; parity < 2; parity += 1) {
        const low = below - ((below ^ parity) & 1);
        const costLow = low < 0 ? Number.POSITIVE_INFINITY : this.#cost(value, row + q, low);
        const costHigh = this.#cost(value, row + q, low + 2);
        const candidate = 2 * q + parity;
        this.#candidates[candidate] = costHigh < costLow ? costHigh : costLow;
        this.#magnitudes[at * CANDIDATES + candidate] = costHigh < costLow ? low + 2 : low;
      }
    }
  }

  #cost(value: number, row: number, magnitude: number): number {
    const base = row * SYMBOLS;
    if (magnitude < ESCAPE) {
      const off = value - (this.#points[base + magnitude] as number);
      return off * off + (this.#prices[base + magnitude] as number);
    }
    const point = (this.#points[base + ESCAPE] as number) + 2 * (magnitude - ESCAPE);
    const price = (this.#prices[base + ESCAPE] as number) + this.#lambda * escapeBits(magnitude);
    return (value - point) * (value - point) + price;
  }

  /** Lets every path go on. The states that follow quantiser 0 are the lower half. */
  #extend(at: number): void {
    const { states, previousEven, previousOdd } = this.#trellis;
    const costs = this.#costs;
    const costsNext = this.#costsNext;
    const parities = this.#parities;
    for (let q = 0; q < 2; q += 1) {
      const even = this.#candidates[2 * q] as number;
      const odd = this.#candidates[2 * q + 1] as number;
      const end = (states >> 1) * (q + 1);
      for (let state = (states >> 1) * q; state < end; state += 1) {
        const costEven = (costs[previousEven[state] as number] as number) + even;
        const costOdd = (costs[previousOdd[state] as number] as number) + odd;
        costsNext[state] = costOdd < costEven ? costOdd : costEven;
        parities[at * states + state] = costOdd < costEven ? 1 : 0;
      }
    }
    this.#costs = costsNext;
    this.#costsNext = costs;
  }

  /** Follows the cheapest path back. */
  #trace(values: Float64Array, rows: Uint8Array, indices: Int16Array): number {
    const { states, previousEven, previousOdd } = this.#trellis;
    let state = 0;
    for (let other = 1; other < states; other += 1) {
      if ((this.#costs[other] as number) < (this.#costs[state] as number)) state = other;
    }
    let bits = 0;
    for (let at = values.length - 1; at >= 0; at -= 1) {
      const parity = this.#parities[at * states + state] as number;
      state = (parity === 0 ? previousEven[state] : previousOdd[state]) as number;
      const q = state & 1;
      const magnitude = this.#magnitudes[at * CANDIDATES + 2 * q + parity] as number;
      const row = (rows[at] as number) + q;
      bits += this.#model.bits[row * SYMBOLS + Math.min(magnitude, ESCAPE)] as number;
      if (magnitude >= ESCAPE) bits += escapeBits(magnitude);
      indices[at] = (values[at] as number) < 0 ? -magnitude : magnitude;
    }
    return bits;
  }
}
