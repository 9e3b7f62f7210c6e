/**
 * `rolling`: every server is restarted, one after the other: three gateways, two aggregators, Redis.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/processes.ts";
import { atMost } from "../support/report.ts";
import { appliedOf, startLoad } from "./load.ts";
import { type Restart, requireLoaded, restart, type Scenario, worstAround } from "./scenarios.ts";
import { SHARDS, startTopology, type Topology } from "./topology.ts";
import { startWitnesses } from "./witnesses.ts";

const DEVICES = 300;
const RATE_PER_S = 600;
const DURATION_MS = 120_000;
const STEADY_MS = 6_000;
const REST_MS = 4_000;
const WITNESSES = 12;
const CONVERGE_MS_MAX = 60_000;

export const rolling: Scenario = async ({ say }) => {
  const topology = await startTopology();
  const witnesses = await startWitnesses(topology, WITNESSES);
  try {
    const sinceMs = performance.now();
    const load = startLoad(topology, {
      ...{ devices: DEVICES, ratePerS: RATE_PER_S, durationMs: DURATION_MS },
    });
    await sleep(STEADY_MS);
    const { restarts, sharedMs, without } = await restartAll(topology, sinceMs, say);
    const result = await load.result;
    requireLoaded(restarts, result);
    await witnesses.rest();
    const { offered, acked, resent } = result.counts;
    const others = witnesses.acked();
    const found = await appliedOf(topology.store, load.plan, { acked, others });
    const lost = found.lost + (await witnesses.lost());
    const behind = await witnesses.behind(CONVERGE_MS_MAX);
    const row = (name: string, value: number, unit: string) => {
      return { scenario: "rolling", name, value, unit };
    };
    return {
      rows: [
        row("deltas due per second", result.metrics.offered_per_s, "1/s"),
        row("deltas acknowledged", acked + others, ""),
        row("deltas sent again", resent, ""),
        row("resends recognised as such", found.recognised, ""),
        ...worstAround(result, restarts).map((ms, index) => {
          return row(`longest PUBACK around ${restarts[index]?.server}`, ms, "ms");
        }),
        row("a joined aggregator has shards after", sharedMs / 1_000, "s"),
      ],
      floors: [
        atMost("never acknowledged", offered - acked, 0, ""),
        atMost("acknowledged and lost", lost, 0, ""),
        atMost("applied twice", found.twice + found.deadLettered, 0, ""),
        atMost("devices not on the newest release, bit for bit", behind, 0, ""),
        atMost("aggregators without a shard at the end", without, 0, ""),
      ],
    };
  } finally {
    await witnesses.end();
    await topology.end();
  }
};

/** One after the other; after each aggregator, until both have shards again. */
async function restartAll(topology: Topology, sinceMs: number, say: (line: string) => void) {
  const { gateways, aggregators, redis } = topology;
  const restarts: Restart[] = [];
  let sharedMs = 0;
  for (const server of [...gateways, ...aggregators, redis]) {
    restarts.push(await restart(server, { sinceMs, restMs: REST_MS }));
    if (aggregators.includes(server))
      sharedMs = Math.max(sharedMs, await waitUntilShared(topology));
    say(`${server.name} was restarted`);
  }
  await waitUntilShared(topology);
  const held = await topology.shardsHeld();
  return { restarts, sharedMs, without: held.filter((shards) => shards === 0).length };
}

const SHARE_MS_MAX = 60_000;

/** Until every aggregator writes some shards and all shards are written; how long that took, with the rest before. */
async function waitUntilShared({ shardsHeld }: Topology): Promise<number> {
  const fromMs = performance.now();
  const shared = async () => {
    const held = await shardsHeld();
    return held.every((shards) => shards > 0) && held.reduce((sum, n) => sum + n, 0) === SHARDS;
  };
  await until("the aggregators to share the shards", shared, SHARE_MS_MAX).catch(() => {});
  return REST_MS + performance.now() - fromMs;
}
