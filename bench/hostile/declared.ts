/**
 * Thousands of sockets, each announcing a CONNECT of 256 MB and sending its beginning.
 * @module
 */
import { rssBytes, rssPeakBytes } from "../support/processes.ts";
import { atMost } from "../support/report.ts";
import { openMany } from "./peer.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { onStand } from "./stand.ts";

const SOCKETS = 5_000;
const MIB = 1_024 ** 2;
const GROWTH_MIB_MAX = 100;
/** The largest Remaining Length there is (MQTT 3.1.1 §2.2.3), and a kilobyte of what it announces. */
const ANNOUNCED = Buffer.concat([Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f), Buffer.alloc(1_024)]);

export const declared: Scenario = (say) =>
  onStand(async ({ port, pid }): Promise<Findings> => {
    const before = rssBytes(pid);
    const peers = await openMany(port, SOCKETS);
    for (const peer of peers) peer.say(ANNOUNCED);
    const agesMs = await Promise.all(peers.map(({ ended }) => ended));
    // The peak of the process's whole life: what it grew by is this at most.
    const grewMib = (rssPeakBytes(pid) - before) / MIB;
    const welcomed = peers.filter(({ heard }) => heard[3] === 0).length;
    say(`declared: grew by ${grewMib.toFixed(0)} MiB`);
    const scenario = "declared";
    return {
      rows: [
        { scenario, name: "sockets that announce 256 MB", value: SOCKETS, unit: "" },
        { scenario, name: "RSS before", value: before / MIB, unit: "MiB" },
        { scenario, name: "the last is closed after", value: Math.max(...agesMs), unit: "ms" },
      ],
      floors: [
        atMost("declared: peak RSS above that before", grewMib, GROWTH_MIB_MAX, "MiB"),
        atMost("declared: sockets let in", welcomed, 0, ""),
      ],
    };
  });
