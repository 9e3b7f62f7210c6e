import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/index.ts";
import {
  entropyModelOf,
  escapeBits,
  ROW_SHIFTS,
  SHIFT_UNIT,
  SYMBOLS,
} from "../../../src/wire/codec1/entropy.ts";
import { levelOf, type StateCount, TRELLISES } from "../../../src/wire/codec1/trellis.ts";
import { TrellisSearch } from "../../../src/wire/codec1/viterbi.ts";
import { gaussian } from "./models.ts";

const LAMBDA = 0.5;

/** Distortion + λ · bits of a row of indices, and its bits, straight from their definitions. */
function costOf(states: StateCount, values: ArrayLike<number>, row: number, indices: number[]) {
  const model = entropyModelOf(states);
  let state = 0;
  let cost = 0;
  let bits = 0;
  for (const [at, index] of indices.entries()) {
    const q = state & 1;
    const size = Math.abs(index);
    const shift = model.shifts[(row + q) * ROW_SHIFTS + Math.min(size, 3)] ?? 0;
    const value = size === 0 ? 0 : Math.sign(index) * (levelOf(q, size) - shift / SHIFT_UNIT);
    const taken =
      (model.bits[(row + q) * SYMBOLS + Math.min(size, 15)] ?? 0) +
      (size < 15 ? 0 : escapeBits(size));
    bits += taken;
    cost += ((values[at] ?? 0) - value) ** 2 + LAMBDA * taken;
    state = TRELLISES[states].next[2 * state + (size & 1)] ?? 0;
  }
  return { cost, bits };
}

function* rowsOfIndices(length: number, largest: number): Generator<number[]> {
  if (length === 0) yield [];
  else {
    for (const rest of rowsOfIndices(length - 1, largest)) {
      for (let index = -largest; index <= largest; index += 1) yield [index, ...rest];
    }
  }
}

describe.each([8, 64] as const)("codec 1: the search over %i states", (states) => {
  const search = new TrellisSearch(states, entropyModelOf(states));

  it("finds the cheapest of all rows", () => {
    const random = seededRandom(7);
    search.price(LAMBDA);
    for (const row of [14, 20, 30]) {
      const values = Float64Array.from({ length: 4 }, () => 1.6 * gaussian(random));
      let least = Number.POSITIVE_INFINITY;
      for (const indices of rowsOfIndices(4, 4)) {
        least = Math.min(least, costOf(states, values, row, indices).cost);
      }
      const found = new Int16Array(4);
      search.run(values, new Uint8Array(4).fill(row), found);
      expect(search.cost).toBeCloseTo(least, 9);
      expect(costOf(states, values, row, [...found]).cost).toBeCloseTo(least, 9);
    }
  });

  it("says what its row costs, escapes, tails and all", () => {
    const random = seededRandom(8);
    search.price(LAMBDA);
    for (const [row, width] of [
      [96, 300],
      [40, 4],
      [0, 0.3],
    ] as const) {
      const values = Float64Array.from({ length: 50 }, () => width * gaussian(random));
      const found = new Int16Array(50);
      search.run(values, new Uint8Array(50).fill(row), found);
      const { cost, bits } = costOf(states, values, row, [...found]);
      expect(search.bits).toBeCloseTo(bits, 1);
      expect(search.cost).toBeCloseTo(cost, 1);
    }
  });

  it("saturates where an index would not fit an int16", () => {
    search.price(LAMBDA);
    const found = new Int16Array(8);
    search.run(new Float64Array(8).fill(-1e9), new Uint8Array(8), found);
    for (const index of found) expect(index).toBeLessThan(-32_000);
  });
});
