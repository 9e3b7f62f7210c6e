/**
 * What the aggregator and the releaser count. Labels are reasons, never ids.
 * @module
 */
import type { Counter, Gauge, Histogram, Metrics } from "../observe/index.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const COUNTS = [1, 4, 16, 64, 256, 1_024, 4_096];

export interface WriterMetrics {
  readonly applied: Counter;
  readonly duplicates: Counter;
  /** Label `reason`. */
  readonly deadLetters: Counter;
  readonly retried: Counter;
  readonly commits: Counter;
  readonly commitEntries: Histogram;
  readonly commitSeconds: Histogram;
  /** From the gateway's stamp to the commit. */
  readonly lagSeconds: Histogram;
  readonly retries: Counter;
  readonly leasesLost: Counter;
}

export function writerMetrics(metrics: Metrics): WriterMetrics {
  const name = (what: string) => `omega_aggregate_${what}`;
  return {
    applied: metrics.counter(name("applied_total"), "Deltas applied."),
    duplicates: metrics.counter(name("duplicates_total"), "Deltas that were consumed before."),
    retried: metrics.counter(name("retried_total"), "Dead letters applied at a second chance."),
    deadLetters: metrics.counter(name("dead_letters_total"), "Deltas refused.", ["reason"]),
    commits: metrics.counter(name("commits_total"), "Group commits kept by the store."),
    commitEntries: metrics.histogram(name("commit_entries"), "Deltas in one commit.", COUNTS),
    commitSeconds: metrics.histogram(name("commit_seconds"), "Load, fold and commit.", SECONDS),
    lagSeconds: metrics.histogram(name("lag_seconds"), "Arrival to commit.", SECONDS),
    retries: metrics.counter(name("store_retries_total"), "Store calls made again."),
    leasesLost: metrics.counter(name("leases_lost_total"), "Shards lost against our will."),
  };
}

export function shardsHeldGauge(metrics: Metrics): Gauge {
  return metrics.gauge("omega_aggregate_shards_held", "Shards this process writes.");
}

export interface KeeperMetrics {
  readonly version: Gauge;
  readonly trainings: Counter;
  readonly failures: Counter;
  readonly gainDb: Gauge;
}

/** Of the tenant that was looked at last: tenants are ids, and ids are no labels. */
export function keeperMetrics(metrics: Metrics): KeeperMetrics {
  return {
    version: metrics.gauge("omega_codec_model_version", "The newest codec model; 0: none yet."),
    trainings: metrics.counter("omega_codec_trainings_total", "Codec models learnt, used or not."),
    failures: metrics.counter(
      "omega_codec_failures_total",
      "Looks for a better model that failed.",
    ),
    gainDb: metrics.gauge(
      "omega_codec_gain_db",
      "What the last model learnt is worth over none, decibels.",
    ),
  };
}

export interface ReleaserMetrics {
  readonly releases: Counter;
  readonly failures: Counter;
  readonly buildSeconds: Histogram;
  readonly patterns: Histogram;
  readonly leftOut: Counter;
}

export function releaserMetrics(metrics: Metrics): ReleaserMetrics {
  const name = (what: string) => `omega_aggregate_${what}`;
  return {
    releases: metrics.counter(name("releases_total"), "Releases published."),
    failures: metrics.counter(name("release_failures_total"), "Release rounds that failed."),
    buildSeconds: metrics.histogram(name("release_seconds"), "Reading sums to published.", SECONDS),
    patterns: metrics.histogram(name("release_patterns"), "Patterns in a release.", COUNTS),
    leftOut: metrics.counter(
      name("release_left_out_total"),
      "Patterns that ranked high enough but did not fit the frame.",
    ),
  };
}
