/**
 * Memory of a device that is connected, listens and says nothing.
 *
 * The base is the same gateway after a few devices have come and gone, so that code and pools that
 * the first of them fill are not counted as the first thousand's.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { atMost, type Row } from "../support/report.ts";
import type { Way } from "./orders.ts";
import { type Findings, OPEN_DOOR, type Scale } from "./scenarios.ts";
import { startWorld } from "./world.ts";

const WARM_UP = 500;
const AT_ONCE_MAX = 50;
/** V8 gives back what connecting has left behind only after some 35 s without work. */
const SETTLE_MS = 50_000;
const BASE_SETTLE_MS = 5_000;
const PLAIN = { counts: [1_000, 5_000, 10_000], kibMax: 16 } as const;
const TLS = { counts: [1_000, 5_000], kibMax: 45 } as const;

export async function idle(scale: Scale): Promise<Findings> {
  const plain = await memoryPerDevice("tcp", PLAIN.counts, scale);
  const tls = await memoryPerDevice("tls-resumed", TLS.counts, scale);
  return {
    rows: [...plain.rows, ...tls.rows],
    floors: [
      atMost("RSS per idle device, plain TCP", plain.settledKib, PLAIN.kibMax, "KiB"),
      atMost("RSS per idle device, TLS", tls.settledKib, TLS.kibMax, "KiB"),
    ],
  };
}

/** RSS above the base, per device, just after so many have connected, and at the end when all are idle. */
async function memoryPerDevice(
  way: Way,
  counts: readonly number[],
  { share, say }: Scale,
): Promise<{ rows: Row[]; settledKib: number }> {
  const world = await startWorld(OPEN_DOOR);
  try {
    const crowd = world.crowd();
    const open = { way, subscribes: true, atOnceMax: AT_ONCE_MAX };
    await crowd.open({ from: 0, to: WARM_UP, ...open });
    await crowd.close({ from: 0, to: WARM_UP });
    await sleep(BASE_SETTLE_MS);
    const base = world.gateway.rssBytes();
    const rows: Row[] = [];
    const kib = (to: number) => (world.gateway.rssBytes() - base) / to / 1_024;
    const note = (name: string, value: number, unit = "KiB/device") => {
      say(`${way}: ${name}: ${value.toFixed(1)} ${unit}`);
      rows.push({ scenario: `idle, ${way}`, name, value, unit });
    };
    note("base process", base / 1_024 ** 2, "MiB");
    let from = 0;
    for (const count of counts) {
      const to = Math.round(count * share);
      await crowd.open({ from, to, ...open });
      from = to;
      note(`${to} devices, just connected`, kib(to));
    }
    await sleep(SETTLE_MS);
    const settledKib = kib(from);
    note(`${from} devices, idle for ${SETTLE_MS / 1_000} s`, settledKib);
    return { rows, settledKib };
  } finally {
    await world.end();
  }
}
