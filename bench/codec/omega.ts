/**
 * Ours, as coders of complete frames.
 * @module
 */
import type { Coder } from "./coder.ts";
import type { Klt } from "./klt.ts";
import type { VectorSet } from "./sets.ts";

export function omegaCoders(_set: VectorSet, _klt: Klt): Coder[] {
  return [];
}
