/**
 * A release as the application sees it.
 * @module
 */
import {
  type CodecModel,
  embeddingsOf,
  fromGrid,
  type Preview1,
  type Release1,
} from "../src/wire/index.ts";
import type { Held } from "./session-held.ts";

/** One global pattern: what many devices together have learnt. */
export interface GlobalPattern {
  readonly id: string;
  /** Unit scale; computed on first use and kept. */
  readonly embedding: Float32Array;
  readonly weight: number;
  /** How many devices contributed. */
  readonly devices: number;
}

/** The patterns of a release by id, without computing embeddings that nobody asks for. */
export function patternsOf(held: Held): ReadonlyMap<string, GlobalPattern> {
  if (held.rendition === 1) return patterns1Of(held.release, held.model);
  return viewOf(held.release.patterns, ({ vector }) => fromGrid(vector));
}

/** The same of rendition 1, which may be a preview; the first embedding asked for computes them all. */
export function patterns1Of(
  release: Release1 | Preview1,
  model: CodecModel | null,
): ReadonlyMap<string, GlobalPattern> {
  let embeddings: Float32Array[] | undefined;
  return viewOf(release.patterns, (_, index) => {
    embeddings ??= embeddingsOf(release, model);
    return embeddings[index] ?? new Float32Array(release.dim);
  });
}

type Counts = Omit<GlobalPattern, "embedding">;

function viewOf<Pattern extends Counts>(
  patterns: readonly Pattern[],
  embeddingOf: (pattern: Pattern, index: number) => Float32Array,
): ReadonlyMap<string, GlobalPattern> {
  const view = new Map<string, GlobalPattern>();
  for (const [index, pattern] of patterns.entries()) {
    const { id, weight, devices } = pattern;
    let embedding: Float32Array | undefined;
    view.set(id, {
      id,
      weight,
      devices,
      get embedding() {
        embedding ??= embeddingOf(pattern, index);
        return embedding;
      },
    });
  }
  return view;
}
