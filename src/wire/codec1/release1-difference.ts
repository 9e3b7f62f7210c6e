/**
 * What one release of rendition 1 says that another does not.
 * @module
 */
import type { Trend } from "../release.ts";
import type { CodecModel } from "./model.ts";
import type { Release1, Release1Pattern } from "./release1.ts";
import { importancesOf } from "./release1-vectors.ts";

export interface Release1Difference {
  /** Ids that are gone, ascending. */
  readonly removals: readonly string[];
  /** New patterns and those with other rows, the most important first. */
  readonly rows: readonly Release1Pattern[];
  /** Patterns that only count differently, ascending by id. */
  readonly kept: readonly Release1Pattern[];
  /** All trends, or none when they stay. */
  readonly trends: readonly Trend[];
  readonly sameTrends: boolean;
}

/** What turns `base` (null: nothing) into `next`. */
export function differenceOf(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
): Release1Difference {
  const held = new Map(base?.patterns.map((pattern) => [pattern.id, pattern]));
  const nextIds = new Set(next.patterns.map(({ id }) => id));
  const stays = (pattern: Release1Pattern) => sameRows(held.get(pattern.id), pattern);
  const trendsStay = base !== null && sameTrends(base.trends, next.trends);
  return {
    removals: [...held.keys()].filter((id) => !nextIds.has(id)),
    rows: byImportance(next, model).filter((pattern) => !stays(pattern)),
    kept: next.patterns.filter(
      (pattern) => stays(pattern) && !sameCounts(held.get(pattern.id), pattern),
    ),
    trends: trendsStay ? [] : next.trends,
    sameTrends: trendsStay,
  };
}

/** Whether a difference from `base` to `next` is possible: the rows of both mean the same. */
export function sharesRows(base: Release1, next: Release1): boolean {
  const [a, b] = [base.steps, next.steps];
  const sameSteps = a.coarse === b.coarse && a.fine === b.fine && a.level === b.level;
  return base.dim === next.dim && base.space === next.space && sameSteps;
}

function byImportance(release: Release1, model: CodecModel | null): Release1Pattern[] {
  const importances = importancesOf(release, release.patterns, model);
  return release.patterns
    .map((pattern, index) => ({ pattern, importance: importances[index] as number }))
    .sort((a, b) => b.importance - a.importance || (a.pattern.id < b.pattern.id ? -1 : 1))
    .map(({ pattern }) => pattern);
}

function sameRows(held: Release1Pattern | undefined, pattern: Release1Pattern): boolean {
  return held?.layers.every((row, layer) => sameRow(row, pattern.layers[layer])) ?? false;
}

function sameRow(a: Int16Array, b: Int16Array | undefined): boolean {
  return a === b || (a.length === b?.length && a.every((index, at) => index === b[at]));
}

function sameCounts(held: Release1Pattern | undefined, pattern: Release1Pattern): boolean {
  return held?.weight === pattern.weight && held.devices === pattern.devices;
}

function sameTrends(a: readonly Trend[], b: readonly Trend[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, score }, at) => id === b[at]?.id && score === b[at].score)
  );
}
