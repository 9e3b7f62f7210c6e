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
import { levelOf, type StateCount, TRELLISES, type Trellis } from "./trellis.ts";

/** Candidates of one coefficient: `2 * quantiser + parity`. */
const CANDIDATES = 4;
/** Values beyond the last level are searched as if they were there. */
const VALUE_MAX = 2 * MAGNITUDE_MAX - 6;
/** Below this many steps only 0 and 1 can be the best index of a quantiser. */
const VALUE_SMALL = 1;
/** A tail has zeros that cost less than this, whichever the quantiser, and nothing larger to code. */
const TAIL_BITS = 0.03;
const TAIL_VALUE = 1.5;

export class TrellisSearch {
  /** Of the row found last: its bits, and distortion + λ · bits in squared steps. */
  bits = 0;
  cost = 0;
  readonly #trellis: Trellis;
  readonly #model: EntropyModel;
  /** The value in steps that a magnitude below 16 stands for, by row. */
  readonly #points = new Float64Array(ROWS * SYMBOLS);
  /** λ · bits, by row. */
  readonly #prices = new Float64Array(ROWS * SYMBOLS);
  #lambda = 0;
  /** Per coefficient, of the four candidates: cost and magnitude. */
  #costs = new Float64Array(0);
  #magnitudes = new Uint16Array(0);
  /** Per coefficient: the states that an odd index led to, one bit each, 32 to a word. */
  #odd = new Int32Array(0);
  /** The cheapest path to each state, before and after a coefficient. */
  #before: Float64Array;
  #after: Float64Array;

  constructor(states: StateCount, model: EntropyModel) {
    this.#trellis = TRELLISES[states];
    this.#model = model;
    this.#before = new Float64Array(states);
    this.#after = new Float64Array(states);
    for (let row = 0; row < ROWS; row += 1) {
      for (let magnitude = 1; magnitude < SYMBOLS; magnitude += 1) {
        const shift = model.shifts[row * ROW_SHIFTS + Math.min(magnitude, 3)] as number;
        this.#points[row * SYMBOLS + magnitude] = levelOf(row & 1, magnitude) - shift / SHIFT_UNIT;
      }
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
   * under quantiser 0. `bits` and `cost` then say what they take.
   */
  run(values: Float64Array, rows: Uint8Array, indices: Int16Array): void {
    if (this.#costs.length < values.length * CANDIDATES) {
      this.#costs = new Float64Array(values.length * CANDIDATES);
      this.#magnitudes = new Uint16Array(values.length * CANDIDATES);
      this.#odd = new Int32Array(values.length * 2);
    }
    const end = this.#endOf(values, rows);
    this.bits = 0;
    this.cost = 0;
    this.#skip(values, rows, indices, end);
    this.#weigh(values, rows, end);
    if (this.#trellis.states === 8) this.#extend8(end);
    else this.#extend64(end);
    this.#trace(values, rows, indices, end);
  }

  /** Where the tail begins in which any other index than 0 would cost more than it mends. */
  #endOf(values: Float64Array, rows: Uint8Array): number {
    const { bits } = this.#model;
    let end = values.length;
    while (end > 0) {
      const value = values[end - 1] as number;
      const base = (rows[end - 1] as number) * SYMBOLS;
      const zero = (bits[base] as number) + (bits[base + SYMBOLS] as number);
      if (zero > TAIL_BITS || value * value > TAIL_VALUE) break;
      end -= 1;
    }
    return end;
  }

  #skip(values: Float64Array, rows: Uint8Array, indices: Int16Array, from: number): void {
    for (let at = from; at < values.length; at += 1) {
      const base = (rows[at] as number) * SYMBOLS;
      indices[at] = 0;
      this.bits += this.#model.bits[base] as number;
      this.cost += (values[at] as number) ** 2 + (this.#prices[base] as number);
    }
  }

  /** The best index of each quantiser and parity. */
  #weigh(values: Float64Array, rows: Uint8Array, end: number): void {
    const costs = this.#costs;
    const magnitudes = this.#magnitudes;
    const points = this.#points;
    const prices = this.#prices;
    for (let at = 0; at < end; at += 1) {
      const value = Math.min(VALUE_MAX, Math.abs(values[at] as number));
      for (let q = 0; q < 2; q += 1) {
        const base = ((rows[at] as number) + q) * SYMBOLS;
        const place = at * CANDIDATES + 2 * q;
        if (value < VALUE_SMALL) {
          const off = value - (points[base + 1] as number);
          costs[place] = value * value + (prices[base] as number);
          costs[place + 1] = off * off + (prices[base + 1] as number);
          magnitudes[place] = 0;
          magnitudes[place + 1] = 1;
          continue;
        }
        // The level below, of its parity; of the other, the level above or the one lower still.
        const below = (value + q) >> 1;
        const lower = below === 0 ? 1 : below - 1;
        const same = place + (below & 1);
        const other = place + (~below & 1);
        let costBelow: number;
        let costAbove: number;
        let costLower: number;
        if (below < ESCAPE - 1) {
          const offBelow = value - (points[base + below] as number);
          const offAbove = value - (points[base + below + 1] as number);
          const offLower = value - (points[base + lower] as number);
          costBelow = offBelow * offBelow + (prices[base + below] as number);
          costAbove = offAbove * offAbove + (prices[base + below + 1] as number);
          costLower = offLower * offLower + (prices[base + lower] as number);
        } else {
          costBelow = this.#costFar(value, base, below);
          costAbove = this.#costFar(value, base, below + 1);
          costLower = this.#costFar(value, base, lower);
        }
        costs[same] = costBelow;
        costs[other] = Math.min(costAbove, costLower);
        magnitudes[same] = below;
        magnitudes[other] = costLower < costAbove ? lower : below + 1;
      }
    }
  }

  /** The cost of any magnitude, the escaped ones included. */
  #costFar(value: number, base: number, magnitude: number): number {
    const symbol = Math.min(magnitude, ESCAPE);
    const off = value - (this.#points[base + symbol] as number) - 2 * (magnitude - symbol);
    const digits = magnitude < ESCAPE ? 0 : escapeBits(magnitude);
    return off * off + (this.#prices[base + symbol] as number) + this.#lambda * digits;
  }

  /**
   * Lets every path go on, 8 states: in variables, because this is where an encoder on a device
   * spends its time. A pair of states that share both ways in is a butterfly.
   */
  #extend8(end: number): void {
    const costs = this.#costs;
    const odd = this.#odd;
    let s0 = 0;
    let s1 = Number.POSITIVE_INFINITY;
    let [s2, s3, s4, s5, s6, s7] = [s1, s1, s1, s1, s1, s1];
    for (let at = 0; at < end; at += 1) {
      const even0 = costs[CANDIDATES * at] as number;
      const odd0 = costs[CANDIDATES * at + 1] as number;
      const even1 = costs[CANDIDATES * at + 2] as number;
      const odd1 = costs[CANDIDATES * at + 3] as number;
      let bits = 0;
      let n0 = s0 + even0;
      if (s4 + odd0 < n0) {
        n0 = s4 + odd0;
        bits = 1;
      }
      let n1 = s2 + even0;
      if (s6 + odd0 < n1) {
        n1 = s6 + odd0;
        bits |= 2;
      }
      let n2 = s4 + even0;
      if (s0 + odd0 < n2) {
        n2 = s0 + odd0;
        bits |= 4;
      }
      let n3 = s6 + even0;
      if (s2 + odd0 < n3) {
        n3 = s2 + odd0;
        bits |= 8;
      }
      let n4 = s3 + even1;
      if (s7 + odd1 < n4) {
        n4 = s7 + odd1;
        bits |= 16;
      }
      let n5 = s1 + even1;
      if (s5 + odd1 < n5) {
        n5 = s5 + odd1;
        bits |= 32;
      }
      let n6 = s7 + even1;
      if (s3 + odd1 < n6) {
        n6 = s3 + odd1;
        bits |= 64;
      }
      let n7 = s5 + even1;
      if (s1 + odd1 < n7) {
        n7 = s1 + odd1;
        bits |= 128;
      }
      odd[2 * at] = bits;
      s0 = n0;
      s1 = n1;
      s2 = n2;
      s3 = n3;
      s4 = n4;
      s5 = n5;
      s6 = n6;
      s7 = n7;
    }
    this.#before.set([s0, s1, s2, s3, s4, s5, s6, s7]);
  }

  /** Lets every path go on, 64 states, a butterfly at a time. */
  #extend64(end: number): void {
    const { butterflies } = this.#trellis;
    const costs = this.#costs;
    let before = this.#before;
    let after = this.#after;
    before.fill(Number.POSITIVE_INFINITY);
    before[0] = 0;
    const half = butterflies.length / 2;
    for (let at = 0; at < end; at += 1) {
      for (let q = 0; q < 2; q += 1) {
        const even = costs[CANDIDATES * at + 2 * q] as number;
        const odd = costs[CANDIDATES * at + 2 * q + 1] as number;
        let bits = 0;
        for (let fly = q * half; fly < (q + 1) * half; fly += 4) {
          const low = butterflies[fly + 2] as number;
          const high = butterflies[fly + 3] as number;
          const fromLow = before[butterflies[fly] as number] as number;
          const fromHigh = before[butterflies[fly + 1] as number] as number;
          after[low] = Math.min(fromLow + even, fromHigh + odd);
          after[high] = Math.min(fromHigh + even, fromLow + odd);
          if (fromHigh + odd < fromLow + even) bits |= 1 << low;
          if (fromLow + odd < fromHigh + even) bits |= 1 << high;
        }
        this.#odd[2 * at + q] = bits;
      }
      [before, after] = [after, before];
    }
    this.#before = before;
    this.#after = after;
  }

  /** Follows the cheapest path back. */
  #trace(values: Float64Array, rows: Uint8Array, indices: Int16Array, end: number): void {
    const { states, previousEven, previousOdd } = this.#trellis;
    const costs = this.#before;
    let state = 0;
    for (let other = 1; other < states; other += 1) {
      if ((costs[other] as number) < (costs[state] as number)) state = other;
    }
    this.cost += costs[state] as number;
    const odd = this.#odd;
    const magnitudes = this.#magnitudes;
    const bitsOf = this.#model.bits;
    let bits = 0;
    for (let at = end - 1; at >= 0; at -= 1) {
      const parity = ((odd[2 * at + (state >> 5)] as number) >>> (state & 31)) & 1;
      state = (parity === 0 ? previousEven[state] : previousOdd[state]) as number;
      const q = state & 1;
      const magnitude = magnitudes[at * CANDIDATES + 2 * q + parity] as number;
      const row = (rows[at] as number) + q;
      bits += bitsOf[row * SYMBOLS + Math.min(magnitude, ESCAPE)] as number;
      if (magnitude >= ESCAPE) bits += escapeBits(magnitude);
      indices[at] = (values[at] as number) < 0 ? -magnitude : magnitude;
    }
    this.bits += bits;
  }
}
