/**
 * Thousands of sockets that say nothing. None may stay longer than the deadline for logins.
 * @module
 */
import { atMost } from "../support/report.ts";
import { openMany } from "./peer.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { onStand } from "./stand.ts";

const SOCKETS = 8_000;
const GONE_S_MAX = 5;

export const silent: Scenario = (say) =>
  onStand(async ({ port }): Promise<Findings> => {
    const startedAtMs = performance.now();
    const peers = await openMany(port, SOCKETS);
    const openedMs = performance.now() - startedAtMs;
    const agesMs = await Promise.all(peers.map(({ ended }) => ended));
    const goneS = (performance.now() - startedAtMs) / 1_000;
    agesMs.sort((a, b) => a - b);
    const oldestS = (agesMs.at(-1) ?? Number.NaN) / 1_000;
    const medianS = (agesMs[SOCKETS / 2] ?? Number.NaN) / 1_000;
    say(`silent: the oldest lived ${oldestS.toFixed(2)} s`);
    const scenario = "silent";
    return {
      rows: [
        { scenario, name: "sockets that say nothing", value: SOCKETS, unit: "" },
        { scenario, name: "all are open after", value: openedMs / 1_000, unit: "s" },
        { scenario, name: "half are gone after", value: medianS, unit: "s" },
        { scenario, name: "all are gone, since the first was opened", value: goneS, unit: "s" },
      ],
      floors: [atMost("silent: the longest that one stays", oldestS, GONE_S_MAX, "s")],
    };
  });
