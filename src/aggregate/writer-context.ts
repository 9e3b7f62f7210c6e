/**
 * What a shard's writer is given: its ports, its settings and their defaults.
 * @module
 */
import type { Clock, Random } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import type { Commit, Store } from "../store/index.ts";
import type { Zstd } from "../wire/index.ts";
import type { WriterMetrics } from "./aggregate-metrics.ts";
import type { DeviceCache } from "./device-cache.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { ModelShelf } from "./model-shelf.ts";
import type { JobLimits } from "./open-jobs.ts";

export interface WriterSettings extends JobLimits {
  /** How long deltas gather into one commit, milliseconds; a full one does not wait. */
  readonly commitIntervalMs: number;
  /** How long the shard stays ours without a renewal, milliseconds. */
  readonly leaseTtlMs: number;
  /** How long stop() lets open jobs finish, milliseconds. */
  readonly stopMs: number;
}

export const DEFAULT_WRITER_SETTINGS: WriterSettings = {
  commitIntervalMs: 200,
  // Each commit writes every sum that it touched, so the more deltas the better; but a fold holds
  // the event loop, and a commit holds Redis.
  commitEntriesMax: 512,
  leaseTtlMs: 10_000,
  deferMs: 10_000,
  deferredMax: 1_024,
  stopMs: 5_000,
};

export interface WriterContext {
  readonly store: Store;
  readonly zstd: Zstd;
  /** Shared by all shards of the process, as are the models. */
  readonly devices: DeviceCache;
  readonly models: ModelShelf;
  readonly policy: FoldPolicy;
  readonly settings: WriterSettings;
  /** Jobs that the queue has open at this writer before it waits for one to end, ≥ 1. */
  readonly jobsAtOnce: number;
  /** Unique per process incarnation. */
  readonly owner: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: WriterMetrics;
  /** Runs between fold and commit: where fault tests end the process. */
  readonly beforeCommit?: (shard: number, commit: Commit) => Promise<void>;
}
