/**
 * Choosing the next release: which patterns, which vectors, which trends. Pure.
 *
 *   G_0 = Σ_c S_c / Σ_c W_c                      the mean of all that may be released
 *   G_c = (S_c + p·G_0) / (W_c + p)              shrunk: p = κ devices of average weight
 *   rank by W_c · ‖G_c − G_0‖², n_c ≥ minDevices (ARCHITECTURE.md, "Merging")
 *
 * Two kinds of calm keep the deltas between releases small. A released pattern
 * keeps its place unless a newcomer beats it clearly, and one that hardly moved
 * keeps exactly the bytes it had. `exact` switches the second off: after a
 * deletion nothing published may still contain the deleted device.
 *
 * All totals must be in the one space that the release is made in; bringing
 * them there is version-totals.ts' work. Nothing below asks which space it is.
 * @module
 */
import { limits, OmegaError, sameBytes } from "../core/index.ts";
import {
  buildLadder,
  COUNTER_MAX,
  type Codec,
  contentHash,
  downFrame,
  GRID,
  quantiseRelease,
  type Release,
  type ReleasePattern,
  type Zstd,
} from "../wire/index.ts";
import type { VersionPolicy } from "./version-policy.ts";
import { isEligible, type PatternTotals } from "./version-totals.ts";
import { trendsOf } from "./version-trends.ts";

export interface ReleasePlan {
  /** What ranked highest, as it is: before calm, codec and the limit of a frame. */
  readonly fresh: Release;
  /** Quantised, and with the version after the previous one. */
  readonly release: Release;
  /** Whether its content differs from the previous release's. */
  readonly changed: boolean;
  /** Patterns with enough devices. */
  readonly eligible: number;
  /** Patterns that ranked high enough but did not fit the frame, best first (P7). */
  readonly leftOut: readonly string[];
}

interface Candidate {
  readonly score: number;
  readonly pattern: ReleasePattern;
}

/** Plans the release after `previous` (null: the first) from the tenant's totals, ascending by id. */
export function planRelease(
  totals: readonly PatternTotals[],
  previous: Release | null,
  context: {
    readonly policy: VersionPolicy;
    readonly dim: number;
    /** Publish every pattern afresh, however little it moved. */
    readonly exact: boolean;
    /** Released patterns besides those of `previous`: other renditions may hold more. */
    readonly incumbents?: readonly string[];
    readonly codec: Codec;
    readonly zstd: Zstd;
  },
): ReleasePlan {
  const { policy, dim, exact, codec } = context;
  const held = previous?.dim === dim ? previous : null;
  const eligible = totals.filter((each) => isEligible(each, policy));
  const incumbents = held?.patterns.map((pattern) => pattern.id) ?? [];
  const released = new Set([...incumbents, ...(context.incumbents ?? [])]);
  const ranked = rank(eligible, released, policy, dim).slice(0, policy.patternsMax);
  const before = new Map(held?.patterns.map((pattern) => [pattern.id, pattern]));
  const patterns = ranked.map(({ pattern }) => {
    const old = before.get(pattern.id);
    return old !== undefined && !exact && hardlyMoved(old, pattern, policy) ? old : pattern;
  });
  const trends = trendsOf(eligible, held?.trends ?? [], policy);
  const version = (previous?.version ?? 0) + 1;
  const releaseOf = (count: number): Release =>
    quantiseRelease({ version, dim, patterns: patterns.slice(0, count), trends }, codec);
  const count = largestThatFits(patterns.length, (count) => fits(releaseOf(count), context));
  const release = releaseOf(count);
  const changed =
    previous === null
      ? patterns.length + trends.length > 0
      : !sameBytes(contentHash(release), contentHash(previous));
  const leftOut = patterns.slice(count).map((pattern) => pattern.id);
  const fresh = { version, dim, patterns: ranked.map(({ pattern }) => pattern), trends };
  return { fresh, release, changed, eligible: eligible.length, leftOut };
}

/** Best first; equal scores by id, so that equal sums make equal releases. */
function rank(
  eligible: readonly PatternTotals[],
  released: ReadonlySet<string>,
  policy: VersionPolicy,
  dim: number,
): Candidate[] {
  const weight = eligible.reduce((sum, totals) => sum + totals.weight, 0);
  const devices = eligible.reduce((sum, totals) => sum + totals.devices, 0);
  const mean = new Float64Array(dim);
  for (const { vector } of eligible) {
    for (let index = 0; index < dim; index += 1) {
      mean[index] = (mean[index] as number) + (vector[index] as number) / weight;
    }
  }
  const priorWeight = eligible.length === 0 ? 0 : (policy.shrinkage * weight) / devices;
  return eligible
    .map((totals): Candidate => {
      const { vector, squared } = shrink(totals, mean, priorWeight);
      const bonus = released.has(totals.id) ? 1 + policy.hysteresis : 1;
      const { id, devices } = totals;
      return {
        score: totals.weight * squared * bonus,
        pattern: { id, weight: Math.round(totals.weight), devices, vector },
      };
    })
    .sort((a, b) => b.score - a.score || (a.pattern.id < b.pattern.id ? -1 : 1));
}

/** G_c on the grid, and its squared distance to the mean. A mean of int16 vectors is one. */
function shrink(
  totals: PatternTotals,
  mean: Float64Array,
  priorWeight: number,
): { vector: Int16Array; squared: number } {
  const vector = new Int16Array(mean.length);
  let squared = 0;
  for (let index = 0; index < mean.length; index += 1) {
    const prior = mean[index] as number;
    const sum = (totals.vector[index] as number) + priorWeight * prior;
    const component = sum / (totals.weight + priorWeight);
    vector[index] = Math.round(component);
    squared += (component - prior) ** 2;
  }
  return { vector, squared };
}

function hardlyMoved(old: ReleasePattern, fresh: ReleasePattern, policy: VersionPolicy): boolean {
  const near = (a: number, b: number) => Math.abs(a - b) <= policy.holdShare * a;
  if (!near(old.weight, fresh.weight) || !near(old.devices, fresh.devices)) return false;
  let squared = 0;
  for (let index = 0; index < old.vector.length; index += 1) {
    squared += ((old.vector[index] as number) - (fresh.vector[index] as number)) ** 2;
  }
  return Math.sqrt(squared) <= policy.holdDistance * GRID;
}

/** Whether the complete snapshot frame, with the largest header, keeps its budget (P7). */
function fits(release: Release, context: { readonly codec: Codec; readonly zstd: Zstd }): boolean {
  try {
    const ladder = buildLadder("measure", release, [], context.codec, context.zstd);
    const applied = { epoch: COUNTER_MAX, seq: COUNTER_MAX };
    return downFrame(ladder, { base: 0, applied }).length <= limits.DOWN_FRAME_BYTES_MAX;
  } catch (error) {
    if (error instanceof OmegaError && error.reason === "frame.budget") return false;
    throw error;
  }
}

/** The largest count in 0 … `countMax` that fits; more patterns never take fewer bytes to speak of. */
function largestThatFits(countMax: number, fitsAt: (count: number) => boolean): number {
  if (fitsAt(countMax)) return countMax;
  let [low, high] = [0, countMax];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fitsAt(middle)) low = middle;
    else high = middle;
  }
  return low;
}
