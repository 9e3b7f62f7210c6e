/**
 * CPU of the gateway for what a connection costs: CONNECT with SUBSCRIBE and the retained message,
 * by each way in, and a PINGREQ.
 * @module
 */
import type { Row } from "../support/report.ts";
import type { CrowdProcess } from "./crowd-process.ts";
import type { Way } from "./orders.ts";
import { type Findings, OPEN_DOOR, type Scale } from "./scenarios.ts";
import { startWorld, type World } from "./world.ts";

const WAYS: readonly Way[] = ["tcp", "tls", "tls-resumed"];
const ROUNDS = 3;
const CONNECTS_PER_ROUND = 1_500;
const AT_ONCE_MAX = 25;
const PINGERS = 5_000;
const PING_ROUNDS = 4;
const PINGS_OVER_MS = 1_000;
/** Of the figure that docs/capacity.md plans with. */
const KEEPALIVE_S = 300;

export async function cost({ share, say }: Scale): Promise<Findings> {
  const world = await startWorld(OPEN_DOOR);
  try {
    const crowd = world.crowd();
    const count = Math.round(CONNECTS_PER_ROUND * share);
    await connects(world, crowd, "tcp", count); // Code that has not run yet is slow.
    await connects(world, crowd, "tls-resumed", count);
    const sums = new Map(WAYS.map((way) => [way, { us: 0, resumed: 0 }]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const way of WAYS) {
        const { us, resumed } = await connects(world, crowd, way, count);
        const sum = sums.get(way) ?? { us: 0, resumed: 0 };
        sums.set(way, { us: sum.us + us / ROUNDS, resumed: sum.resumed + resumed });
        say(`${way}: ${us.toFixed(0)} µs per CONNECT + SUBSCRIBE, ${resumed} resumed`);
      }
    }
    const rows = WAYS.map((way): Row => {
      const value = sums.get(way)?.us ?? Number.NaN;
      const name = `CONNECT + SUBSCRIBE + retained message + close, ${way}`;
      return { scenario: "cost", name, value, unit: "µs of gateway CPU" };
    });
    return {
      rows: [...rows, ...(await pings(world, crowd, Math.round(PINGERS * share)))],
      floors: [],
    };
  } finally {
    await world.end();
  }
}

async function connects(world: World, crowd: CrowdProcess, way: Way, count: number) {
  const before = world.gateway.cpuUs();
  const range = { from: 0, to: count };
  const { resumed } = await crowd.open({ ...range, way, subscribes: true, atOnceMax: AT_ONCE_MAX });
  await crowd.close(range);
  await crowd.open({ from: count, to: count + 1, way: "tcp", subscribes: true, atOnceMax: 1 });
  await crowd.close({ from: count, to: count + 1 });
  return { us: (world.gateway.cpuUs() - before) / count, resumed };
}

async function pings(world: World, crowd: CrowdProcess, count: number): Promise<Row[]> {
  const range = { from: 0, to: count };
  await crowd.open({ ...range, way: "tcp", subscribes: true, atOnceMax: AT_ONCE_MAX });
  await crowd.ping({ ...range, overMs: PINGS_OVER_MS });
  const before = world.gateway.cpuUs();
  for (let round = 0; round < PING_ROUNDS; round += 1) {
    await crowd.ping({ ...range, overMs: PINGS_OVER_MS });
  }
  const us = (world.gateway.cpuUs() - before) / (count * PING_ROUNDS);
  const perMille = (10_000 / KEEPALIVE_S) * us * 1e-6 * 100;
  return [
    { scenario: "cost", name: "PINGREQ", value: us, unit: "µs of gateway CPU" },
    {
      scenario: "cost",
      name: `keepalive of 10,000 devices, one ping in ${KEEPALIVE_S} s each`,
      value: perMille,
      unit: "% of a core",
    },
  ];
}
