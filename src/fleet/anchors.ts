/**
 * Anchors: the public pattern ids, found by spherical k-means on the catalogue.
 *
 * Every party computes them from the same catalogue and seed, so "anchor 17"
 * means the same taste everywhere and only its number travels.
 * Source: Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data
 * using Clustering" (Machine Learning 42, 2001).
 * @module
 */
import { integerBelow, seededRandom } from "../core/index.ts";
import { addScaled, type Catalogue, dot, itemVector, normalise } from "./catalogue.ts";

export interface Anchors {
  /** Pattern ids, `a000`, `a001`, … */
  readonly ids: readonly string[];
  /** The anchor of each item, by item index. */
  readonly ofItem: Uint16Array;
}

export interface AnchorOptions {
  /** How many anchors, 1 … items. */
  readonly count: number;
  readonly seed: number;
  /** Passes over the items, ≥ 1; a few are enough, the assignment settles quickly. */
  readonly rounds?: number;
}

/** Cost: rounds × items × count × dim multiply-adds. */
export function findAnchors(catalogue: Catalogue, options: AnchorOptions): Anchors {
  const count = Math.min(options.count, catalogue.items.length);
  const random = seededRandom(options.seed);
  let centres: Float32Array[] = Array.from({ length: count }, () =>
    Float32Array.from(itemVector(catalogue, integerBelow(random, catalogue.items.length))),
  );
  const ofItem = new Uint16Array(catalogue.items.length);
  for (let round = 0; round < (options.rounds ?? 4); round += 1) {
    assign(catalogue, centres, ofItem);
    centres = recentre(catalogue, centres, ofItem);
  }
  assign(catalogue, centres, ofItem);
  const ids = centres.map((_, index) => `a${String(index).padStart(3, "0")}`);
  return { ids, ofItem };
}

function assign(catalogue: Catalogue, centres: readonly Float32Array[], ofItem: Uint16Array): void {
  for (let item = 0; item < catalogue.items.length; item += 1) {
    const vector = itemVector(catalogue, item);
    let best = 0;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const [index, centre] of centres.entries()) {
      const score = dot(vector, centre);
      if (score > bestScore) {
        bestScore = score;
        best = index;
      }
    }
    ofItem[item] = best;
  }
}

function recentre(
  catalogue: Catalogue,
  centres: readonly Float32Array[],
  ofItem: Uint16Array,
): Float32Array[] {
  const sums = centres.map(() => new Float32Array(catalogue.dim));
  for (const [item, anchor] of ofItem.entries()) {
    const sum = sums[anchor];
    if (sum !== undefined) addScaled(sum, itemVector(catalogue, item), 1);
  }
  return sums.map((sum, index) => {
    normalise(sum);
    // An anchor that attracts nothing keeps its place instead of collapsing to zero.
    return dot(sum, sum) > 0 ? sum : (centres[index] ?? sum);
  });
}
