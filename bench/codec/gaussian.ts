/**
 * Normal deviates from a seeded uniform source: the polar method (Marsaglia and Bray 1964), so that
 * every vector of a run can be made again from its seed.
 * @module
 */
import type { Random } from "../../src/core/index.ts";

/** A function that draws from N(0, 1). */
export function gaussianFrom(random: Random): () => number {
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    for (;;) {
      const x = 2 * random.next() - 1;
      const y = 2 * random.next() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      spare = y * factor;
      return x * factor;
    }
  };
}

/** Scales each row of `vectors` to unit length, in place. Returns the index of a row of zeros, or −1. */
export function normaliseRows(vectors: Float32Array, dim: number): number {
  for (let start = 0; start < vectors.length; start += dim) {
    let square = 0;
    for (let at = start; at < start + dim; at += 1) square += (vectors[at] as number) ** 2;
    if (square === 0) return start / dim;
    const factor = 1 / Math.sqrt(square);
    for (let at = start; at < start + dim; at += 1) vectors[at] = (vectors[at] as number) * factor;
  }
  return -1;
}
