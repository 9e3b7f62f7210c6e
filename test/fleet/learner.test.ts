import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { intake } from "../../device/session-intake.ts";
import type { Anchors } from "../../src/fleet/anchors.ts";
import { itemVector, makeCatalogue } from "../../src/fleet/catalogue.ts";
import {
  Learner,
  type LearntDelta,
  type LearntPattern,
  LIKE_MIN,
  PATTERNS_MAX,
} from "../../src/fleet/learner.ts";

const ANCHOR_COUNT = 14;
const ITEMS_PER_ANCHOR = 4;
const ITEM_COUNT = ANCHOR_COUNT * ITEMS_PER_ANCHOR;
const DIM = 32;
const TIME_S = 1_365_029_107;

const catalogue = makeCatalogue(
  Array.from({ length: ITEM_COUNT }, (_, index) => ({
    ...{ id: `secret-item-${index}`, title: `Secret title ${index}`, year: 1990, genres: [] },
  })),
  DIM,
);
/** Item i belongs to anchor i mod 14. */
const anchors: Anchors = {
  ids: Array.from({ length: ANCHOR_COUNT }, (_, index) => `a${String(index).padStart(3, "0")}`),
  ofItem: Uint16Array.from({ length: ITEM_COUNT }, (_, index) => index % ANCHOR_COUNT),
};
const newLearner = () => new Learner(catalogue, anchors);

interface Rated {
  readonly item: number;
  readonly rating: number;
  readonly timeS: number;
}
const arbitraryRating: fc.Arbitrary<Rated> = fc.record({
  // Few anchors often and many seldom, so that some fall out of the strongest.
  item: fc.oneof(fc.nat(ITEM_COUNT - 1), fc.nat(3)),
  rating: fc.integer({ min: 0, max: 10 }),
  timeS: fc.integer({ min: TIME_S, max: TIME_S + 1_000_000 }),
});

const arbitraryDay = fc.array(arbitraryRating, { maxLength: 40 });

/** What a TV with these ratings must stand for, by anchor id, from scratch in float64. */
function standing(ratings: readonly Rated[]): Map<string, LearntPattern> {
  const liked = ratings.filter((rated) => rated.rating >= 7);
  const n = liked.length;
  const embedding = Float32Array.from({ length: DIM }, (_, at) => {
    return liked.reduce((sum, { item }) => sum + (itemVector(catalogue, item)[at] ?? 0), 0) / n;
  });
  const patterns = anchors.ids.map((id, anchor) => {
    const own = ratings.filter(({ item }) => anchors.ofItem[item] === anchor);
    const likes = own.filter((rated) => rated.rating >= 7).length;
    const weight = Math.max(1, Math.round(100 * (likes / n) * Math.sqrt(Math.min(n, 50))));
    const updatedAt = new Date((own.at(-1)?.timeS ?? 0) * 1_000);
    const counts = { success: likes / own.length, samples: own.length, updatedAt };
    return { likes, anchor, pattern: { id, embedding, weight, ...counts } };
  });
  const strongest = patterns
    .filter(({ likes }) => likes > 0)
    .sort((a, b) => b.likes - a.likes || a.anchor - b.anchor)
    .slice(0, 10);
  return new Map(strongest.map(({ pattern }) => [pattern.id, pattern]));
}

/** What somebody holds who got every delta. */
class Receiver {
  readonly held = new Map<string, LearntPattern>();

  take(delta: LearntDelta): void {
    for (const pattern of delta.upserts) this.held.set(pattern.id, pattern);
    for (const id of delta.removals) {
      expect(this.held.delete(id), `${id} was told before it is removed`).toBe(true);
    }
  }
}

function expectToStandFor(receiver: Receiver, ratings: readonly Rated[]): void {
  const expected = standing(ratings);
  expect([...receiver.held.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [id, pattern] of receiver.held) {
    const { embedding, ...rest } = pattern;
    const { embedding: mean, ...counts } = expected.get(id) ?? { embedding: [] };
    expect(rest).toEqual(counts);
    for (const [at, value] of embedding.entries()) {
      expect(Math.abs(value - (mean[at] ?? Number.NaN))).toBeLessThan(1e-5);
    }
  }
}

function rateAll(learner: Learner, ratings: readonly Rated[]): void {
  for (const { item, rating, timeS } of ratings) learner.rate(item, rating, timeS);
}

/** `count` ratings of the first item of `anchor`. */
const rated = (anchor: number, rating: number, count = 1): Rated[] =>
  Array.from({ length: count }, () => ({ item: anchor, rating, timeS: TIME_S }));

describe("learner: what it tells", () => {
  it("learner: the limits are those the replay was measured with", () => {
    expect({ LIKE_MIN, PATTERNS_MAX }).toEqual({ LIKE_MIN: 7, PATTERNS_MAX: 10 });
  });

  it("learner: whoever gets every delta holds the strongest anchors, their weights and the mean of what was liked", () => {
    fc.assert(
      fc.property(fc.array(arbitraryDay, { maxLength: 8 }), (days) => {
        const learner = newLearner();
        const receiver = new Receiver();
        const past: Rated[] = [];
        for (const day of days) {
          rateAll(learner, day);
          const before = standing(past);
          past.push(...day);
          const delta = learner.takeDelta();
          expect(delta === null).toBe(isDeepStrictEqual(standing(past), before));
          if (delta !== null) receiver.take(delta);
          expectToStandFor(receiver, past);
        }
      }),
    );
  });

  it("learner: m_dc is the anchor's share of the likes times √min(n, 50), in hundredths", () => {
    const learner = newLearner();
    rateAll(learner, [...rated(0, 9, 3), ...rated(1, 7), ...rated(1, 6, 5)]);
    // n = 4: √4 × 3/4 and √4 × 1/4.
    expect(learner.takeDelta()?.upserts).toMatchObject([
      { id: "a000", weight: 150, success: 1, samples: 3 },
      { id: "a001", weight: 50, success: 1 / 6, samples: 6 },
    ]);
    rateAll(learner, rated(0, 8, 96));
    // n = 100 counts as 50: √50 × 0.99 = 7.0004, √50 × 0.01 = 0.0707.
    expect(learner.takeDelta()?.upserts.map(({ weight }) => weight)).toEqual([700, 7]);
  });

  it("learner: the faintest taste still weighs 1, which is the least the wire can say", () => {
    const learner = newLearner();
    rateAll(learner, [...rated(0, 10, 1_999), ...rated(1, 10)]);
    expect(learner.takeDelta()?.upserts.map(({ weight }) => weight)).toEqual([707, 1]);
  });

  it("learner: an anchor that falls out of the ten strongest is removed, and comes back when it is stronger again", () => {
    const learner = newLearner();
    for (let anchor = 0; anchor < PATTERNS_MAX; anchor += 1) rateAll(learner, rated(anchor, 8, 2));
    expect(learner.takeDelta()).toMatchObject({ removals: [] });
    rateAll(learner, rated(10, 8));
    const eleventh = learner.takeDelta();
    expect(eleventh?.removals).toEqual([]);
    expect(eleventh?.upserts.map(({ id }) => id)).not.toContain("a010");
    rateAll(learner, rated(10, 8, 2));
    const swapped = learner.takeDelta();
    expect(swapped?.removals).toEqual(["a009"]);
    expect(swapped?.upserts).toHaveLength(PATTERNS_MAX);
    expect(swapped?.upserts[0]).toMatchObject({ id: "a010", samples: 3 });
    rateAll(learner, rated(9, 8, 2));
    const back = learner.takeDelta();
    expect(back?.removals).toEqual(["a008"]);
    expect(back?.upserts[0]).toMatchObject({ id: "a009", samples: 4 });
  });

  it("learner: everything it tells is something the SDK takes", () => {
    fc.assert(
      fc.property(fc.array(arbitraryRating, { maxLength: 120 }), (ratings) => {
        const learner = newLearner();
        rateAll(learner, ratings);
        const delta = learner.takeDelta();
        if (delta === null) return;
        expect(delta.upserts.length).toBeLessThanOrEqual(PATTERNS_MAX);
        const told = delta.upserts.length + delta.removals.length;
        expect(intake(delta, DIM, TIME_S)).toHaveLength(told);
      }),
    );
  });
});

describe("learner: what it keeps to itself", () => {
  it("learner: null when nothing changed since the last delta", () => {
    const learner = newLearner();
    expect(learner.takeDelta()).toBeNull();
    rateAll(learner, rated(0, 9));
    expect(learner.takeDelta()).not.toBeNull();
    expect(learner.takeDelta()).toBeNull();
  });

  it("learner: a TV that has liked nothing yet has nothing to tell", () => {
    const learner = newLearner();
    rateAll(learner, [...rated(0, 6), ...rated(1, 0)]);
    expect(learner.takeDelta()).toBeNull();
    rateAll(learner, rated(0, 7));
    const counts = { id: "a000", success: 0.5, samples: 2 };
    expect(learner.takeDelta()?.upserts).toMatchObject([counts]);
  });

  it("learner: a dislike is told by the pattern it belongs to, and by none when there is no such pattern", () => {
    const learner = newLearner();
    rateAll(learner, [...rated(0, 9, 3), ...rated(1, 9)]);
    learner.takeDelta();
    rateAll(learner, rated(5, 2));
    expect(learner.takeDelta()).toBeNull();
    rateAll(learner, rated(0, 2));
    const delta = learner.takeDelta();
    expect(delta?.upserts).toMatchObject([{ id: "a000", weight: 150, success: 0.75, samples: 4 }]);
    expect(delta).toMatchObject({ upserts: { length: 1 }, removals: [] });
  });

  it("learner: no rating and no item can be read from what it tells: only likes and dislikes count", () => {
    const arbitrary = fc.array(fc.tuple(arbitraryRating, fc.nat()), { maxLength: 80 });
    fc.assert(
      fc.property(arbitrary, (history) => {
        const [learner, twin] = [newLearner(), newLearner()];
        for (const [{ item, rating, timeS }, other] of history) {
          learner.rate(item, rating, timeS);
          twin.rate(item, rating >= 7 ? 7 + (other % 4) : other % 7, timeS);
        }
        const delta = learner.takeDelta();
        expect(twin.takeDelta()).toEqual(delta);
        expect(JSON.stringify(delta)).not.toMatch(/secret|rating|item/i);
        const fields = ["embedding", "id", "samples", "success", "updatedAt", "weight"];
        for (const pattern of delta?.upserts ?? []) {
          expect(Object.keys(pattern).sort()).toEqual(fields);
        }
      }),
    );
  });
});
