/**
 * A release of a hundred patterns to ten thousand connected devices, for devices of either minor.
 *
 * The gateway encodes nothing: bodies come from the releaser's ladders, and what a device gets of
 * its own is a header. That is checked from outside: the distinct bodies that all devices together
 * receive cannot be more than those that the ladders have.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../support/numbers.ts";
import { atMost, type Floor, type Row } from "../support/report.ts";
import type { CrowdProcess } from "./crowd-process.ts";
import type { Range, Released } from "./orders.ts";
import { type Prepared, Releases } from "./release.ts";
import { type Findings, OPEN_DOOR, type Scale } from "./scenarios.ts";
import { startWorld, type World } from "./world.ts";

const DEVICES = 10_000;
/** The first ones are compiled while they run; CPU is that of the others. */
const WARM_UPS = 2;
const RELEASES = 7;
const AT_ONCE_MAX = 50;
const WITHIN_MS_MAX = 60_000;
const CPU_US_MAX = 50;
const STALL_MS_MAX = 50;
const REST_MS = 2_000;

export async function fanout(scale: Scale): Promise<Findings> {
  const parts: Findings[] = [];
  for (const minor of [0, 1] as const) parts.push(await toMinor(minor, scale));
  return {
    rows: parts.flatMap(({ rows }) => rows),
    floors: parts.flatMap(({ floors }) => floors),
  };
}

async function toMinor(minor: 0 | 1, { share, say }: Scale): Promise<Findings> {
  const world = await startWorld(OPEN_DOOR);
  try {
    const devices = { from: 0, to: Math.round(DEVICES * share) };
    const releases = new Releases(world.store);
    await (await releases.prepare()).publish();
    const crowd = world.crowd(minor);
    await crowd.open({ ...devices, way: "tcp", subscribes: true, atOnceMax: AT_ONCE_MAX });
    const seen: Seen[] = [];
    for (let round = 0; round < RELEASES; round += 1) {
      seen.push(await oneRelease(world, crowd, await releases.prepare(), devices));
      say(`fanout, minor ${minor}: ${JSON.stringify(seen.at(-1))}`);
    }
    return findings(minor, seen);
  } finally {
    await world.end();
  }
}

interface Seen extends Released {
  readonly cpuUs: number;
  readonly redisCpuUs: number;
  readonly stallMs: number;
  /** Bodies that the release's ladders have. */
  readonly encoded: number;
  readonly devices: number;
}

async function oneRelease(
  { gateway, redis, loopDelayMsMax }: World,
  crowd: CrowdProcess,
  { version, bodies: encoded, publish }: Prepared,
  of: Range,
): Promise<Seen> {
  await sleep(REST_MS);
  await loopDelayMsMax();
  const before = { gateway: gateway.cpuUs(), redis: redis.cpuUs() };
  const watched = crowd.released({ ...of, version, withinMsMax: WITHIN_MS_MAX });
  await publish();
  const released = await watched;
  const devices = of.to - of.from;
  return {
    ...released,
    ...{ encoded, devices },
    cpuUs: (gateway.cpuUs() - before.gateway) / devices,
    redisCpuUs: (redis.cpuUs() - before.redis) / devices,
    stallMs: await loopDelayMsMax(),
  };
}

function findings(minor: 0 | 1, seen: readonly Seen[]): Findings {
  const middle = (of: (one: Seen) => number) => median(seen.slice(WARM_UPS).map(of));
  const mean = (of: (one: Seen) => number) =>
    seen.reduce((sum, one) => sum + of(one), 0) / seen.length;
  const most = (of: (one: Seen) => number) => Math.max(...seen.map(of));
  const scenario = `release, minor ${minor}`;
  const row = (name: string, value: number, unit: string): Row => ({ scenario, name, value, unit });
  const cpuUs = middle((one) => one.cpuUs);
  const stallMs = most((one) => one.stallMs);
  const missing = most((one) => one.missing);
  const rows = [
    row(
      "devices",
      mean((one) => one.devices),
      "",
    ),
    row("gateway CPU", cpuUs, "µs/device"),
    row(
      "Redis CPU",
      middle((one) => one.redisCpuUs),
      "µs/device",
    ),
    row(
      "frames",
      mean((one) => one.frames / one.devices),
      "/device",
    ),
    row(
      "bytes",
      mean((one) => one.bytes / one.devices),
      "/device",
    ),
    row(
      "bodies encoded by the releaser",
      mean((one) => one.encoded),
      "",
    ),
    row(
      "distinct bodies received",
      most((one) => one.bodies),
      "",
    ),
    row(
      "until the last device holds it",
      mean((one) => one.elapsedMs / 1_000),
      "s",
    ),
    row("longest event-loop delay", stallMs, "ms"),
  ];
  const floors: Floor[] = [
    atMost(`${scenario}: gateway CPU per device`, cpuUs, CPU_US_MAX, "µs"),
    atMost(`${scenario}: longest event-loop delay`, stallMs, STALL_MS_MAX, "ms"),
    atMost(`${scenario}: devices without it`, missing, 0, ""),
  ];
  return { rows, floors };
}
