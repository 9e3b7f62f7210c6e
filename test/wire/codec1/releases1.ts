/**
 * Releases of rendition 1 for tests: random ones, chains of them, and what a device makes of frames.
 * @module
 */
import fc from "fast-check";
import { limits, type Random } from "../../../src/core/index.ts";
import {
  type CodecModel,
  type CodecModels,
  type LayerSteps,
  peekFrame,
  quantiseRelease1,
  type Release,
  type Release1,
  TransitionReader,
  type TransitionStep,
} from "../../../src/wire/index.ts";
import { anyId, anyVector } from "../arbitraries.ts";

export const DOWN = limits.DOWN_FRAME_BYTES_MAX;

export function modelsOf(...models: readonly CodecModel[]): CodecModels {
  return { get: (version) => models.find((model) => model.version === version) ?? null };
}

/** What `reader` says to each of `frames`. */
export function feedAll(reader: TransitionReader, frames: readonly Uint8Array[]): TransitionStep[] {
  return frames.map((frame) => reader.feed(peekFrame(frame, DOWN)));
}

/** The release that `frames` bring to a device which holds `held`. */
export function received(
  frames: readonly Uint8Array[],
  held: Release1 | null,
  models: CodecModels,
): Release1 {
  const last = feedAll(new TransitionReader(held, models), frames).at(-1);
  if (last?.kind === "release") return last.release;
  if (last?.kind === "same" && held !== null) return held;
  throw new Error(`the frames bring no release: ${last?.kind}`);
}

/** A chain of releases at the same steps; each shares patterns with the one before. */
export function anyChain(
  dim: number,
  model: CodecModel | null,
  steps: LayerSteps,
): fc.Arbitrary<Release1[]> {
  const count = fc.integer({ min: 0, max: 1_000_000 });
  const pattern = fc.record({ id: anyId, weight: count, devices: count, vector: anyVector(dim) });
  const trend = fc.record({ id: anyId, score: fc.integer({ min: 0, max: 1000 }) });
  const byId = (item: { id: string }) => item.id;
  const release = fc.record({
    patterns: fc.uniqueArray(pattern, { selector: byId, minLength: 1, maxLength: 8 }),
    trends: fc.uniqueArray(trend, { selector: byId, maxLength: 6 }),
    sameTrends: fc.boolean(),
    named: fc.boolean(),
  });
  return fc
    .tuple(
      fc.array(release, { minLength: 2, maxLength: 4 }),
      fc.array(fc.nat(3), { minLength: 10, maxLength: 10 }),
    )
    .map(([drafts, fates]) => {
      let previous: Release | null = null;
      return drafts.map((draft, index) => {
        const patterns = new Map(draft.patterns.map((fresh) => [fresh.id, fresh]));
        for (const [at, old] of (previous?.patterns ?? []).entries()) {
          const fate = fates[at % fates.length];
          if (fate === 1) patterns.set(old.id, old);
          if (fate === 2) patterns.set(old.id, { ...old, weight: 2 * old.weight + 1 });
        }
        const named = draft.named ? [...patterns.keys()].map((id) => ({ id, score: 500 })) : [];
        const trends = draft.sameTrends && previous ? previous.trends : [...draft.trends, ...named];
        const ids = new Set<string>();
        const next: Release = {
          version: index + 1,
          dim,
          patterns: [...patterns.values()].slice(0, 20),
          trends: trends.filter(({ id }) => !ids.has(id) && ids.add(id)),
        };
        previous = next;
        return quantiseRelease1(next, model, steps);
      });
    });
}

/** `count` patterns with ids of 64 random bits, drawn by `draw`. */
export function randomRelease(
  random: Random,
  count: number,
  dim: number,
  draw: () => Int16Array,
): Release {
  const id = () =>
    Array.from({ length: 16 }, () => Math.floor(16 * random.next()).toString(16)).join("");
  return {
    version: 1,
    dim,
    patterns: Array.from({ length: count }, () => ({
      id: id(),
      weight: Math.floor(Math.exp(4 + 4 * random.next())),
      devices: 50 + Math.floor(200 * random.next()),
      vector: draw(),
    })),
    trends: [],
  };
}
