/**
 * Releases: the global patterns of one version, whole or as a difference.
 *
 * The body is a CBOR map of columns; an empty column is left out:
 *
 *   0 dim     1 ids         2 weights        3 devices    4 coded
 *           5 trend ids   6 trend scores   7 removals   8 kept
 *
 * `removals` and `kept` occur in differences only. `kept` lists the indexes of
 * patterns whose vector stays as the device holds it: weights age with every
 * release, most vectors do not, and a weight is 100 times smaller.
 *
 * Vectors are fixed points of the codec and always coded absolutely, so a
 * device reaches the same bits by a snapshot or by any chain of differences
 * (P5), and the content hash proves it.
 * @module
 */
import type { GridVector } from "./grid.ts";

export interface ReleasePattern {
  readonly id: string;
  /** Integer ≥ 0 on the wire. */
  readonly weight: number;
  /** How many devices contributed; integer ≥ 0. */
  readonly devices: number;
  readonly vector: GridVector;
}

export interface Trend {
  readonly id: string;
  /** Integer, 0–1000. */
  readonly score: number;
}

export interface Release {
  /** Rises by one with each release of a tenant; 0 is the empty one before the first. */
  readonly version: number;
  readonly dim: number;
  /** Ascending by id. */
  readonly patterns: readonly ReleasePattern[];
  /** Falling by score, then ascending by id. */
  readonly trends: readonly Trend[];
}

export const TREND_SCORE_MAX = 1000;
export const RELEASE_COUNT_MAX = 2 ** 48 - 1;

/** Order by id; ids are ASCII, so code units are bytes. */
export function compareIds(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** The highest score first; equal scores by id. */
export function compareTrends(a: Trend, b: Trend): number {
  return b.score - a.score || compareIds(a, b);
}

/** Patterns and trends in one release. */
export const RELEASE_PATTERNS_MAX = 2048;
export const RELEASE_TRENDS_MAX = 256;

/** The columns, by key. */
export const RELEASE_KEY = {
  dim: 0,
  ids: 1,
  weights: 2,
  devices: 3,
  coded: 4,
  trendIds: 5,
  trendScores: 6,
  removals: 7,
  kept: 8,
} as const;
/** The columns of a snapshot and of a difference, as reasons name them. */
export const SNAPSHOT_NAMES = {
  0: "dim",
  1: "ids",
  2: "weights",
  3: "devices",
  4: "coded",
  5: "trend-ids",
  6: "trend-scores",
} as const;
export const RELEASE_DELTA_NAMES = { ...SNAPSHOT_NAMES, 7: "removals", 8: "kept" } as const;
