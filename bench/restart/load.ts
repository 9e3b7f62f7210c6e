/**
 * The load that goes on while servers are restarted, and what becomes of it.
 * @module
 */
import { systemClock } from "../../src/core/index.ts";
import {
  type FleetResult,
  type LoadPlan,
  parseTarget,
  runFleet,
} from "../../src/fleet/load/index.ts";
import type { Store } from "../../src/store/index.ts";
import { until } from "../support/processes.ts";
import type { Topology } from "./topology.ts";

export interface LoadWanted {
  readonly devices: number;
  /** Deltas per second of all devices, due by the schedule alone. */
  readonly ratePerS: number;
  readonly durationMs: number;
}

export interface Load {
  readonly plan: LoadPlan;
  readonly result: Promise<FleetResult>;
}

/** Begins it. The frames are those of `omega-sync fleet`: codec 1, 10 patterns of 384 numbers in 1 KB. */
export function startLoad(
  { url, secret }: Pick<Topology, "url" | "secret">,
  wanted: LoadWanted,
): Load {
  const target = parseTarget(url, null);
  if (target === null) throw new Error(`assertion failed: ${url} is a broker's URL`);
  const { devices, ratePerS, durationMs } = wanted;
  const plan: LoadPlan = {
    ...{ target, secret, tenant: "default", devices, durationMs },
    ...{ connectRate: 200, intervalMs: (devices / ratePerS) * 1_000, jitter: 0.5 },
    ...{ churnPerMinute: 0, network: "none", scenario: "steady" },
    ...{ dim: 384, patterns: 10, frameBytes: 1_024, seed: 1, epoch: Date.now() },
  };
  const result = runFleet({
    ...{ plan, processes: 1, pids: [], metricsUrls: [], thresholds: [], clock: systemClock },
    onMoment: () => {},
    signal: new AbortController().signal,
  });
  return { plan, result };
}

export interface Applied {
  /** Acknowledged deltas that no cursor of the store covers. */
  readonly lost: number;
  /** Deltas applied beyond those that cursors cover: each would be one applied twice. */
  readonly twice: number;
  readonly deadLettered: number;
  /** Resends that were recognised and left out. */
  readonly recognised: number;
}

/** A fold that applies nothing for so long has nothing left, or hangs. */
const IDLE_MS_MAX = 30_000;
const CURSORS_AT_ONCE = 100;

/**
 * What the store holds of `acked` deltas, when all are applied or nothing moves any more. For a run in
 * which everything that was sent was acknowledged, so that a device's cursor is its count.
 * `others`: deltas that others than the load had acknowledged.
 */
export async function appliedOf(
  store: Store,
  { devices, epoch }: LoadPlan,
  { acked, others }: { readonly acked: number; readonly others: number },
): Promise<Applied> {
  let applied = -1;
  for (let before = -2; applied < acked + others && applied > before; ) {
    before = applied;
    const moved = async () => (await totalsOf(store)).applied > before;
    await until("another delta to be applied", moved, IDLE_MS_MAX).catch(() => {});
    applied = (await totalsOf(store)).applied;
  }
  const covered = await coveredOf(store, { devices, epoch });
  const totals = await totalsOf(store);
  return {
    lost: Math.max(0, acked - covered),
    twice: Math.max(0, totals.applied - others - covered),
    ...{ deadLettered: totals.deadLettered, recognised: totals.duplicates },
  };
}

/** How many deltas of a load the cursors of its devices cover: those that count as consumed. */
export async function coveredOf(
  store: Store,
  { devices, epoch }: Pick<LoadPlan, "devices" | "epoch">,
): Promise<number> {
  let covered = 0;
  for (let first = 0; first < devices; first += CURSORS_AT_ONCE) {
    const count = Math.min(CURSORS_AT_ONCE, devices - first);
    const keys = Array.from({ length: count }, (_, index) => {
      return { tenant: "default", device: `fleet-${first + index}` };
    });
    for (const cursor of await store.cursors(keys)) {
      covered += cursor?.epochs.find((each) => each.epoch === epoch)?.low ?? 0;
    }
  }
  return covered;
}

async function totalsOf(store: Store) {
  const totals = { applied: 0, deadLettered: 0, duplicates: 0 };
  for (let shard = 0; shard < store.shards; shard += 1) {
    const stats = await store.stats(shard);
    totals.applied += stats.applied;
    totals.deadLettered += stats.deadLettered;
    totals.duplicates += stats.duplicates;
  }
  return totals;
}
