/**
 * Trellises: which quantiser each index of a row uses.
 *
 * Trellis-coded quantisation (Marcellin and Fischer, 1990) in the form of JPEG 2000 part 2 and of
 * VVC's dependent quantisation: the levels of a line, 0, ±1, ±2 …, are split between two union
 * quantisers, and the parities of the indices so far say which of the two the next index means.
 *
 *   Q0: index k is level 2k            … −4 −2 0 2 4 …
 *   Q1: index k is level 2k − sign(k)  … −3 −1 0 1 3 …
 *
 * Each quantiser is coarse, so an index is cheap; the path through both is as dense as the line.
 * The next state follows Ungerboeck's codes for amplitude modulation (1982, table I; parity-check
 * polynomials in octal), in systematic feedback form: bit 0 of a state names its quantiser.
 * @module
 */

export type StateCount = 8 | 64;

export interface Trellis {
  readonly states: StateCount;
  /** `next[2 * state + parity]`, where parity is that of the index. A row starts in state 0. */
  readonly next: Uint8Array;
  /** The state before `state`, by the parity of the index that led here; both use one quantiser. */
  readonly previousEven: Uint8Array;
  readonly previousOdd: Uint8Array;
}

const POLYNOMIALS = { 8: [0o13, 0o04], 64: [0o103, 0o024] } as const;

function build(states: StateCount): Trellis {
  const [feedback, input] = POLYNOMIALS[states];
  const next = new Uint8Array(2 * states);
  const previousEven = new Uint8Array(states);
  const previousOdd = new Uint8Array(states);
  for (let state = 0; state < states; state += 1) {
    const even = (state ^ (state & 1 ? feedback : 0)) >> 1;
    const odd = even ^ (input >> 1);
    next[2 * state] = even;
    next[2 * state + 1] = odd;
    previousEven[even] = state;
    previousOdd[odd] = state;
  }
  return { states, next, previousEven, previousOdd };
}

export const TRELLISES: Readonly<Record<StateCount, Trellis>> = { 8: build(8), 64: build(64) };

/** The level of a magnitude in quantiser `q` (0 or 1), in steps. */
export function levelOf(q: number, magnitude: number): number {
  return magnitude === 0 ? 0 : 2 * magnitude - q;
}
