/**
 * `drain`: SIGTERM to one gateway after the other, each started again, while the others serve.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { atMost } from "../support/report.ts";
import { appliedOf, startLoad } from "./load.ts";
import {
  type Restart,
  requireLoaded,
  restart,
  type Scenario,
  worstAround,
  worstMs,
} from "./scenarios.ts";
import { startTopology } from "./topology.ts";

const DEVICES = 300;
const RATE_PER_S = 1_500;
const DURATION_MS = 75_000;
/** Before the first restart: all have connected, and the fold is warm. */
const STEADY_MS = 8_000;
/** HAProxy sends a server that is back few connections for 5 s (slowstart). */
const REST_MS = 6_000;
const GAP_MS_MAX = 1_500;

export const drain: Scenario = async ({ say }) => {
  const topology = await startTopology();
  try {
    const sinceMs = performance.now();
    const load = startLoad(topology, {
      ...{ devices: DEVICES, ratePerS: RATE_PER_S, durationMs: DURATION_MS },
    });
    await sleep(STEADY_MS);
    const restarts: Restart[] = [];
    for (const gateway of topology.gateways) {
      restarts.push(await restart(gateway, { sinceMs, restMs: REST_MS }));
      say(`${gateway.name} was restarted`);
    }
    const result = await load.result;
    requireLoaded(restarts, result);
    const { offered, acked, resent, disconnects } = result.counts;
    const { store } = topology;
    const found = await appliedOf(store, load.plan, { acked, others: 0 });
    const row = (name: string, value: number, unit: string) => {
      return { scenario: "drain", name, value, unit };
    };
    const gaps = worstAround(result, restarts);
    return {
      rows: [
        row("deltas due per second", result.metrics.offered_per_s, "1/s"),
        row("deltas acknowledged", acked, ""),
        row("connections closed by draining gateways", disconnects, ""),
        row("deltas sent again", resent, ""),
        row("resends recognised as such", found.recognised, ""),
        row("PUBACK p50 of the whole run", result.ackMs.p50, "ms"),
        row("PUBACK p99 of the whole run", result.ackMs.p99, "ms"),
        row("longest PUBACK before the first SIGTERM", worstMs(result, 3, STEADY_MS / 1_000), "ms"),
        ...restarts.map(({ server, fromS, endedS }) => {
          return row(`SIGTERM of ${server} to its end`, endedS - fromS, "s");
        }),
        ...restarts.map(({ server }, index) => {
          return row(`longest PUBACK around ${server}`, gaps[index] ?? 0, "ms");
        }),
      ],
      floors: [
        atMost("worst device gap", Math.max(...gaps), GAP_MS_MAX, "ms"),
        atMost("never acknowledged", offered - acked, 0, ""),
        atMost("acknowledged and lost", found.lost, 0, ""),
        atMost("applied twice", found.twice + found.deadLettered, 0, ""),
      ],
    };
  } finally {
    await topology.end();
  }
};
