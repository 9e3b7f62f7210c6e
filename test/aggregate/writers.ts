/** Shard writers on a store and a clock, as the tests of the shell need them. */
import { writerMetrics } from "../../src/aggregate/aggregate-metrics.ts";
import { DeviceCache } from "../../src/aggregate/device-cache.ts";
import type { FoldPolicy } from "../../src/aggregate/fold-policy.ts";
import { ModelShelf } from "../../src/aggregate/model-shelf.ts";
import { ShardWriter } from "../../src/aggregate/shard-writer.ts";
import {
  DEFAULT_WRITER_SETTINGS,
  type WriterContext,
  type WriterSettings,
} from "../../src/aggregate/writer-context.ts";
import { seededRandom } from "../../src/core/index.ts";
import { type Metrics, noMetrics, silentLogger } from "../../src/observe/index.ts";
import type { Commit, Store } from "../../src/store/index.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import { POLICY, zstd } from "./frames.ts";

export interface WriterWishes {
  readonly owner?: string;
  readonly policy?: Partial<FoldPolicy>;
  readonly settings?: Partial<WriterSettings>;
  readonly metrics?: Metrics;
  readonly cachedBytesMax?: number;
  readonly jobsAtOnce?: number;
  readonly beforeCommit?: (shard: number, commit: Commit) => Promise<void>;
}

/** A context with short, round times: commit after 100 ms, lease of 1,000 ms, wait of 500 ms. */
export function writerContext(
  store: Store,
  clock: ManualClock,
  wishes: WriterWishes = {},
): WriterContext {
  const { owner = "writer-1", policy, settings, metrics = noMetrics, beforeCommit } = wishes;
  return {
    store,
    zstd,
    devices: new DeviceCache(wishes.cachedBytesMax ?? 1024 * 1024),
    models: new ModelShelf({ store, clock, log: silentLogger }),
    policy: { ...POLICY, ...policy },
    settings: {
      ...DEFAULT_WRITER_SETTINGS,
      commitIntervalMs: 100,
      leaseTtlMs: 1_000,
      deferMs: 500,
      stopMs: 2_000,
      ...settings,
    },
    jobsAtOnce: wishes.jobsAtOnce ?? Number.POSITIVE_INFINITY,
    owner,
    clock,
    random: seededRandom(1),
    log: silentLogger,
    metrics: writerMetrics(metrics),
    ...(beforeCommit === undefined ? {} : { beforeCommit }),
  };
}

/** Opens shard 0; fails the test when another holds it. */
export async function openWriter(
  store: Store,
  clock: ManualClock,
  wishes: WriterWishes = {},
): Promise<ShardWriter> {
  const writer = await ShardWriter.open(0, writerContext(store, clock, wishes));
  if (writer === null) throw new Error("the shard is held by another");
  return writer;
}

/** What became of a promise so far. */
export function watchOutcome(promise: Promise<void>): { state: string } {
  const seen = { state: "open" };
  promise.then(
    () => {
      seen.state = "done";
    },
    (error: { reason?: string }) => {
      seen.state = error.reason ?? String(error);
    },
  );
  return seen;
}
