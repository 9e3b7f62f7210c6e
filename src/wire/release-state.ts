/**
 * What a release is, apart from how it travels.
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
