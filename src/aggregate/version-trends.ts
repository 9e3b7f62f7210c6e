/**
 * Trends: which patterns take a larger part of the recent buckets than of all of them.
 *
 *   score = 1000 · r / (r + l)     r, l: the pattern's share of all weight, recent and long-run
 *
 * 500 is steady, 1000 is new, 0 is over. A score that hardly moved keeps its
 * released value, so that noise alone makes no release.
 * @module
 */
import type { Trend } from "../wire/index.ts";
import type { VersionPolicy } from "./version-policy.ts";
import type { PatternTotals } from "./version-totals.ts";

const SCORE_MAX = 1_000;

/** At most `trendsMax` of the eligible patterns, the highest score first, equal ones by id. */
export function trendsOf(
  eligible: readonly PatternTotals[],
  previous: readonly Trend[],
  policy: VersionPolicy,
): Trend[] {
  const released = new Map(previous.map((trend) => [trend.id, trend.score]));
  let [recentAll, plainAll] = [0, 0];
  for (const { recentWeight, plainWeight } of eligible) {
    recentAll += recentWeight;
    plainAll += plainWeight;
  }
  return eligible
    .map(({ id, recentWeight, plainWeight }): Trend => {
      const recent = recentAll === 0 ? 0 : recentWeight / recentAll;
      const longRun = plainWeight / plainAll;
      const score = Math.round((SCORE_MAX * recent) / (recent + longRun));
      const before = released.get(id);
      const held = before !== undefined && Math.abs(before - score) <= policy.trendHold;
      return { id, score: held ? before : score };
    })
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(0, policy.trendsMax);
}
