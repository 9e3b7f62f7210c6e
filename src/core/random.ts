/**
 * Randomness comes in through the front door, so that a failure can be replayed from its seed.
 * @module
 */

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };

/** Mulberry32 (Tommy Ettinger, 2017, public domain): 32-bit state, period 2^32. Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    },
  };
}

/** A uniform integer in [0, limit), limit ≥ 1. */
export function integerBelow(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}
