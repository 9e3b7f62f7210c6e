/**
 * How a release is selected, with its defaults.
 * @module
 */
import { InvalidConfigError } from "../core/index.ts";
import { RELEASE_PATTERNS_MAX, RELEASE_TRENDS_MAX } from "../wire/index.ts";
import { DEFAULT_RETENTION, type Retention } from "./buckets.ts";

export interface VersionPolicy extends Retention {
  /** Patterns in a release, 1 … 2,048; fewer when the frame cannot hold them (P7). */
  readonly patternsMax: number;
  /** Devices that must share a pattern before anything of it leaves, ≥ 1. */
  readonly minDevices: number;
  /** What a bucket keeps of its weight when it grows one older, 0 < λ ≤ 1. */
  readonly decayPerBucket: number;
  /** Pseudo-devices of average weight that pull each pattern to the mean, κ ≥ 0. */
  readonly shrinkage: number;
  /** By how much of its score a newcomer must beat a released pattern to take its place, ≥ 0. */
  readonly hysteresis: number;
  /** A pattern that moved no farther than this (Euclidean, in units) keeps its released vector, ≥ 0. */
  readonly holdDistance: number;
  /** … when its weight and device count also changed by no more than this share, ≥ 0. */
  readonly holdShare: number;
  /** Trends in a release, 0 … 256. */
  readonly trendsMax: number;
  /** The newest buckets that count as recent, ≥ 1. */
  readonly recentBuckets: number;
  /** A trend that moved by no more than this keeps its released score, 0 … 1000. */
  readonly trendHold: number;
}

export const DEFAULT_VERSION_POLICY: VersionPolicy = {
  ...DEFAULT_RETENTION,
  patternsMax: 100,
  minDevices: 50,
  decayPerBucket: 0.97,
  shrinkage: 5,
  hysteresis: 0.2,
  holdDistance: 0.02,
  holdShare: 0.2,
  trendsMax: 100,
  recentBuckets: 3,
  trendHold: 25,
};

/** Throws `InvalidConfigError` listing every fault. */
export function requireVersionPolicy(policy: VersionPolicy): VersionPolicy {
  const faults: string[] = [];
  const within = (name: keyof VersionPolicy, min: number, max: number, whole = true) => {
    const value = policy[name];
    if (value >= min && value <= max && (!whole || Number.isInteger(value))) return;
    faults.push(`${name} must be ${whole ? "an integer " : ""}in ${min} … ${max}: got ${value}`);
  };
  within("patternsMax", 1, RELEASE_PATTERNS_MAX);
  within("minDevices", 1, Number.MAX_SAFE_INTEGER);
  within("decayPerBucket", Number.MIN_VALUE, 1, false);
  within("shrinkage", 0, 1e6, false);
  within("hysteresis", 0, 1e6, false);
  within("holdDistance", 0, 2, false);
  within("holdShare", 0, 1e6, false);
  within("trendsMax", 0, RELEASE_TRENDS_MAX);
  within("recentBuckets", 1, Number.MAX_SAFE_INTEGER);
  within("trendHold", 0, 1_000);
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return policy;
}
