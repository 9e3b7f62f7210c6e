import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { integerBelow, seededRandom } from "../../src/core/index.ts";
import { findAnchors } from "../../src/fleet/anchors.ts";
import { type Catalogue, itemVector, makeCatalogue } from "../../src/fleet/catalogue.ts";
import { inventHistory } from "../../src/fleet/index.ts";

/** Items in random directions: as far from ties as can be. */
function scattered(itemCount: number, dim: number, seed: number): Catalogue {
  const random = seededRandom(seed);
  const vectors = new Float32Array(itemCount * dim);
  for (let item = 0; item < itemCount; item += 1) {
    const row = Array.from({ length: dim }, () => random.next() - 0.5);
    const norm = Math.hypot(...row);
    vectors.set(
      row.map((value) => value / norm),
      item * dim,
    );
  }
  const items = Array.from({ length: itemCount }, (_, index) => ({
    ...{ id: `${index}`, title: "", year: 0, genres: [] },
  }));
  return { items, dim, vectors };
}

interface World {
  readonly itemCount: number;
  readonly count: number;
  readonly rounds: number;
  readonly seed: number;
}

/**
 * By how much the worst item misses its nearest centre, recomputed in float64
 * and in plain arrays. Each round's centres come from the assignment of the
 * round before as it was found, so that a tie broken the other way does not
 * send the two down different roads. `emptied` is what becomes of a centre
 * without items.
 */
function worstMiss(
  { itemCount, count, rounds, seed }: World,
  emptied: (before: number[]) => number[] = (before) => before,
): number {
  const catalogue = scattered(itemCount, 8, seed + 1);
  const rows = catalogue.items.map((_, index) => [...itemVector(catalogue, index)]);
  const random = seededRandom(seed);
  let centres = Array.from(
    { length: Math.min(count, rows.length) },
    () => rows[integerBelow(random, rows.length)] ?? [],
  );
  let ofItem = rows.map((row) => {
    const scores = centres.map((centre) => cosine(row, centre));
    return scores.indexOf(Math.max(...scores));
  });
  for (let round = 1; round <= rounds; round += 1) {
    centres = centres.map((before, anchor) => {
      const members = rows.filter((_, item) => ofItem[item] === anchor);
      if (members.length === 0) return emptied(before);
      const sum = before.map((_, at) => members.reduce((all, row) => all + (row[at] ?? 0), 0));
      const norm = Math.hypot(...sum);
      return sum.map((value) => value / norm);
    });
    ofItem = [...findAnchors(catalogue, { count, seed, rounds: round }).ofItem];
  }
  const misses = rows.map((row, item) => {
    const best = Math.max(...centres.map((centre) => cosine(row, centre)));
    return best - cosine(row, centres[ofItem[item] ?? -1] ?? []);
  });
  return Math.max(...misses);
}

/** Of vectors of norm 1. */
function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? Number.NaN), 0);
}

/** Far more than float32 rounds away, far less than lies between two centres. */
const ROUNDING = 1e-5;

describe("anchors", () => {
  it("anchors: the same catalogue and seed give the same anchors, another seed gives others", () => {
    const catalogue = makeCatalogue(inventHistory(1, 3).items, 64);
    const options = { count: 20, seed: 5 };
    const anchors = findAnchors(catalogue, options);
    expect(findAnchors(catalogue, options)).toEqual(anchors);
    expect(findAnchors(catalogue, { ...options, seed: 6 })).not.toEqual(anchors);
    expect(anchors.ids).toHaveLength(20);
    expect([anchors.ids[0], anchors.ids[19]]).toEqual(["a000", "a019"]);
    expect(anchors.ofItem).toHaveLength(catalogue.items.length);
  });

  it("anchors: every item belongs to the nearest centre after the last round", () => {
    const arbitrary: fc.Arbitrary<World> = fc.record({
      itemCount: fc.integer({ min: 1, max: 60 }),
      count: fc.integer({ min: 1, max: 20 }),
      rounds: fc.integer({ min: 1, max: 5 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(arbitrary, (world) => {
        expect(worstMiss(world)).toBeLessThan(ROUNDING);
      }),
    );
  });

  it("anchors: four rounds unless told otherwise", () => {
    const catalogue = scattered(200, 12, 1);
    const options = { count: 12, seed: 2 };
    const anchors = findAnchors(catalogue, options);
    expect(anchors).toEqual(findAnchors(catalogue, { ...options, rounds: 4 }));
    expect(anchors).not.toEqual(findAnchors(catalogue, { ...options, rounds: 1 }));
  });

  it("anchors: fewer items than anchors give as many anchors as items", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.nat(), (itemCount, seed) => {
        const { ids, ofItem } = findAnchors(scattered(itemCount, 8, seed), { count: 10, seed });
        expect(ids).toHaveLength(itemCount);
        expect(ofItem).toHaveLength(itemCount);
        for (const anchor of ofItem) expect(anchor).toBeLessThan(itemCount);
      }),
    );
  });

  it("anchors: an anchor that attracts nothing keeps its place and may attract again", () => {
    const worlds = Array.from({ length: 40 }, (_, seed) => {
      return { itemCount: 30, count: 12, rounds: 1, seed };
    });
    // As an anchor that collapsed to zero the same assignment would be a wrong one.
    const collapsed = (before: number[]) => before.map(() => 0);
    const told = worlds.filter((world) => worstMiss(world, collapsed) > 0.01);
    expect(told.length, "worlds in which keeping the place shows").toBeGreaterThan(3);
    for (const world of told) expect(worstMiss(world)).toBeLessThan(ROUNDING);
  });
});
