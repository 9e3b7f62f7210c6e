/**
 * All devices of a gateway drop and come back at once, against the limits that a gateway has by
 * default, while some others stay and publish.
 *
 * The devices follow the SDK's backoff. So the time until the last is back is compared with what
 * the token bucket alone implies, (devices − burst) ÷ rate: nobody who waits knows when a token is
 * free, and the last ones wait out the backoff that they had drawn.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_GATEWAY_LIMITS } from "../../gateway/limits.ts";
import { rssPeakBytes } from "../support/processes.ts";
import { atMost, type Floor, type Row } from "../support/report.ts";
import type { Acks, Storm } from "./orders.ts";
import { Releases } from "./release.ts";
import type { Findings, Scale } from "./scenarios.ts";
import { startWorld } from "./world.ts";

const RETURNING = 15_000;
const STAYING = 500;
const PUBLISHED_PER_S = 500;
const AT_ONCE_MAX = 25;
const BEFORE_MS = 8_000;
const WITHIN_MS_MAX = 180_000;
const RSS_MIB_MAX = 512;
const P99_RATIO_MAX = 2;
/** Below the rate of the token bucket, so that nobody waits while the crowd is let in at first. */
const ENTRY_PER_S = 400;

export async function storm({ share, say }: Scale): Promise<Findings> {
  const world = await startWorld();
  try {
    await (await new Releases(world.store).prepare()).publish();
    const returning = Math.round(RETURNING * share);
    const [crowd, staying] = [world.crowd(), world.crowd()];
    const stay = { from: RETURNING, to: RETURNING + STAYING };
    const open = { way: "tcp", subscribes: true, atOnceMax: AT_ONCE_MAX } as const;
    await staying.open({ ...stay, ...open });
    say(`storm: letting ${returning} devices in`);
    await crowd.open({ from: 0, to: returning, ...open, perS: ENTRY_PER_S });
    await sleep(5_000); // The bucket fills again.
    await staying.publish({ ...stay, ratePerS: PUBLISHED_PER_S });
    await sleep(2_000);
    await staying.acks();
    await sleep(BEFORE_MS);
    const before = await staying.acks();
    await world.loopDelayMsMax();
    const cpuBefore = world.gateway.cpuUs();
    const outcome = await crowd.storm({ from: 0, to: returning, withinMsMax: WITHIN_MS_MAX });
    const cpuS = (world.gateway.cpuUs() - cpuBefore) / 1e6;
    const during = await staying.acks();
    const loopMs = await world.loopDelayMsMax();
    await staying.quiet();
    const rssMib = rssPeakBytes(world.gateway.pid) / 1_024 ** 2;
    say(`storm: ${JSON.stringify({ outcome, before, during, loopMs, rssMib })}`);
    return findings({ returning, outcome, before, during, loopMs, rssMib, cpuS });
  } finally {
    await world.end();
  }
}

interface Seen {
  readonly returning: number;
  readonly outcome: Storm;
  readonly before: Acks;
  readonly during: Acks;
  readonly loopMs: number;
  readonly rssMib: number;
  readonly cpuS: number;
}

function findings(seen: Seen): Findings {
  const { returning, outcome, before, during } = seen;
  const { ratePerS, burst } = DEFAULT_GATEWAY_LIMITS.connects;
  const impliedS = Math.max(0, returning - burst) / ratePerS;
  const backS = outcome.elapsedMs / 1_000;
  const { "0": accepted = 0, "3": busy = 0, ...others } = outcome.connacks;
  const wrong = outcome.wrong + Object.values(others).reduce((sum, count) => sum + count, 0);
  const row = (name: string, value: number, unit: string): Row => {
    return { scenario: "storm", name, value, unit };
  };
  const rows = [
    row("devices that come back at once", returning, ""),
    row("half are back after", outcome.medianMs / 1_000, "s"),
    row("99 % are back after", outcome.p99Ms / 1_000, "s"),
    row("all are back after", backS, "s"),
    row("the token bucket alone implies", impliedS, "s"),
    row("CONNACK 0", accepted, ""),
    row("CONNACK 3", busy, ""),
    row("attempts closed without a CONNACK", outcome.unanswered, ""),
    row("ack p50 of those who stayed, before", before.p50Ms, "ms"),
    row("ack p50 of those who stayed, during", during.p50Ms, "ms"),
    row("ack p99 of those who stayed, before", before.p99Ms, "ms"),
    row("ack p99 of those who stayed, during", during.p99Ms, "ms"),
    row("longest event-loop delay", seen.loopMs, "ms"),
    row("gateway CPU", seen.cpuS, "s"),
  ];
  const floors: Floor[] = [
    atMost("storm: wrong answers", wrong, 0, ""),
    atMost("storm: devices not back", outcome.missing, 0, ""),
    atMost("storm: time until all are back / implied", backS / impliedS, 1, ""),
    atMost("storm: peak RSS", seen.rssMib, RSS_MIB_MAX, "MiB"),
    atMost("storm: ack p99 during / before", during.p99Ms / before.p99Ms, P99_RATIO_MAX, ""),
  ];
  return { rows, floors };
}
