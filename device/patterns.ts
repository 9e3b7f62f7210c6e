/**
 * A release as the application sees it.
 * @module
 */
import { fromGrid, type Release } from "../src/wire/index.ts";

/** One global pattern: what many devices together have learnt. */
export interface GlobalPattern {
  readonly id: string;
  /** Unit scale; computed on first use and kept. */
  readonly embedding: Float32Array;
  readonly weight: number;
  /** How many devices contributed. */
  readonly devices: number;
}

/** The patterns of `release` by id, without converting embeddings that nobody asks for. */
export function patternsOf(release: Release): ReadonlyMap<string, GlobalPattern> {
  const patterns = new Map<string, GlobalPattern>();
  for (const { id, weight, devices, vector } of release.patterns) {
    let embedding: Float32Array | undefined;
    patterns.set(id, {
      id,
      weight,
      devices,
      get embedding() {
        embedding ??= fromGrid(vector);
        return embedding;
      },
    });
  }
  return patterns;
}
