/**
 * What one TV learns from its own ratings: companion sketches.
 *
 * v_d is the mean of the vectors of the items it liked; m_dc is the share of its
 * liked items in anchor c, times √min(n, 50). For each of its strongest anchors
 * it tells "viewers like me, with this much taste in c, like v_d". The ratings
 * themselves stay in this object.
 * @module
 */
import type { Anchors } from "./anchors.ts";
import { addScaled, type Catalogue, itemVector } from "./catalogue.ts";

/** A rating of 0 … 10 counts as a like from here on. */
export const LIKE_MIN = 7;
/** How many anchors a TV speaks about. */
export const PATTERNS_MAX = 10;
const HISTORY_WEIGHT_MAX = 50;
/** Weights travel as integers: hundredths of m_dc. */
const WEIGHT_SCALE = 100;

export interface LearntPattern {
  readonly id: string;
  readonly embedding: Float32Array;
  readonly weight: number;
  readonly success: number;
  readonly samples: number;
  readonly updatedAt: Date;
}

export interface LearntDelta {
  readonly upserts: readonly LearntPattern[];
  readonly removals: readonly string[];
}

interface Tally {
  liked: number;
  seen: number;
  updatedAtS: number;
}

export class Learner {
  readonly #catalogue: Catalogue;
  readonly #anchors: Anchors;
  readonly #likedSum: Float32Array;
  readonly #tallies = new Map<number, Tally>();
  #likedCount = 0;
  #told = new Set<string>();
  /** Anchors with a rating since the last delta. */
  readonly #rated = new Set<number>();
  /** A like since the last delta: it moves the mean and every share. */
  #hasNewLike = false;

  constructor(catalogue: Catalogue, anchors: Anchors) {
    this.#catalogue = catalogue;
    this.#anchors = anchors;
    this.#likedSum = new Float32Array(catalogue.dim);
  }

  /** Takes one rating (0 … 10) of the item with this index, at unix second `timeS`. */
  rate(item: number, rating: number, timeS: number): void {
    const anchor = this.#anchors.ofItem[item] ?? 0;
    const tally = this.#tallies.get(anchor) ?? { liked: 0, seen: 0, updatedAtS: timeS };
    tally.seen += 1;
    tally.updatedAtS = timeS;
    this.#tallies.set(anchor, tally);
    this.#rated.add(anchor);
    if (rating >= LIKE_MIN) {
      tally.liked += 1;
      this.#likedCount += 1;
      this.#hasNewLike = true;
      addScaled(this.#likedSum, itemVector(this.#catalogue, item), 1);
    }
  }

  /**
   * What changed since the last call, or null. Anchors that fell out of the
   * strongest are removed; a dislike is told only by the pattern it belongs to.
   */
  takeDelta(): LearntDelta | null {
    const strongest = this.#strongest();
    const upserts = this.#patterns(
      strongest.filter(([anchor]) => this.#hasNewLike || this.#rated.has(anchor)),
    );
    const ids = new Set(strongest.map(([anchor]) => this.#idOf(anchor)));
    const removals = [...this.#told].filter((id) => !ids.has(id));
    this.#told = ids;
    this.#rated.clear();
    this.#hasNewLike = false;
    return upserts.length + removals.length === 0 ? null : { upserts, removals };
  }

  #strongest(): [number, Tally][] {
    return [...this.#tallies]
      .filter(([, tally]) => tally.liked > 0)
      .sort(([a, left], [b, right]) => right.liked - left.liked || a - b)
      .slice(0, PATTERNS_MAX);
  }

  #patterns(of: readonly [number, Tally][]): LearntPattern[] {
    const mean = this.#likedSum.map((value) => value / this.#likedCount);
    const confidence = Math.sqrt(Math.min(this.#likedCount, HISTORY_WEIGHT_MAX));
    return of.map(([anchor, tally]) => ({
      id: this.#idOf(anchor),
      embedding: mean,
      weight: Math.max(1, Math.round((WEIGHT_SCALE * confidence * tally.liked) / this.#likedCount)),
      success: tally.liked / tally.seen,
      samples: tally.seen,
      updatedAt: new Date(tally.updatedAtS * 1_000),
    }));
  }

  #idOf(anchor: number): string {
    return this.#anchors.ids[anchor] ?? "a000";
  }
}
