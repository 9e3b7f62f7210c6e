/**
 * Subscribers that stop reading and acknowledging: what do the others feel of it?
 *
 * Devices get release after release, first among themselves, then beside the frozen ones, until
 * those are cut off. What counts is by how much later the last of them has a release, and by how
 * much longer their pings take.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { subscribePacket } from "../../src/fleet/load/packets.ts";
import { Opener, parseTarget } from "../../src/fleet/load/wire.ts";
import { topicOf } from "../../src/wire/index.ts";
import { BenchDevice, TENANT } from "../connections/bench-device.ts";
import { Releases } from "../connections/release.ts";
import { until } from "../support/processes.ts";
import { atLeast, atMost } from "../support/report.ts";
import { Peer } from "./peer.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { onStand } from "./stand.ts";

const OTHERS = 200;
const FROZEN = 20;
const WARM = 5;
const BEFORE = 25;
/** Long enough that the frozen ones are cut off meanwhile: `ackMsMax` is 30 s. */
const DURING_MS = 35_000;
const REST_MS = 500;
const THAW_MS = 1_000;
const PING_EVERY_MS = 50;
const DELAY_MS_MAX = 100;

export const frozen: Scenario = (say) =>
  onStand(async ({ port, store }): Promise<Findings> => {
    const releases = new Releases(store);
    await (await releases.prepare()).publish();
    const others = await listeners(port);
    const [warming, before, during] = [new Felt(), new Felt(), new Felt()];
    while (warming.releaseMs.length < WARM) await warming.release(releases, others);
    while (before.releaseMs.length < BEFORE) await before.release(releases, others);
    const cold = await Promise.all(Array.from({ length: FROZEN }, (_, at) => freeze(port, at)));
    const untilMs = performance.now() + DURING_MS;
    while (performance.now() < untilMs) await during.release(releases, others);
    const cut = await cutOff(cold);
    say(`frozen: ${cut} of ${FROZEN} were cut off`);
    for (const device of others) device.leave();
    return findings(before, during, cut);
  });

/** How long releases took until the last had them, and the longest ping. */
class Felt {
  readonly releaseMs: number[] = [];
  pingMs = 0;

  /** One more release to all of `others`, who ping all the while. */
  async release(releases: Releases, others: readonly BenchDevice[]): Promise<void> {
    const { version, publish } = await releases.prepare();
    await sleep(REST_MS);
    const pinging = setInterval(() => this.#ping(others), PING_EVERY_MS);
    const startedAtMs = performance.now();
    let lastAtMs = startedAtMs;
    for (const device of others) {
      device.onVersion = () => {
        lastAtMs = performance.now();
      };
    }
    await publish();
    await until("a release", () => others.every((device) => device.version >= version));
    clearInterval(pinging);
    this.releaseMs.push(lastAtMs - startedAtMs);
  }

  #ping(others: readonly BenchDevice[]): void {
    const device = others[Math.floor(Math.random() * others.length)];
    const saidAtMs = performance.now();
    device?.ping(() => {
      this.pingMs = Math.max(this.pingMs, performance.now() - saidAtMs);
    });
  }
}

/** Devices that hold the newest release. */
async function listeners(port: number): Promise<BenchDevice[]> {
  const target = parseTarget(`mqtt://127.0.0.1:${port}`, null);
  if (target === null) throw new Error("assertion failed: it is a URL");
  const opener = new Opener(target);
  const devices = Array.from({ length: OTHERS }, (_, at) => new BenchDevice(at, 0));
  const broken = (what: string) => () => {
    throw new Error(`one of the others ${what}`);
  };
  for (const device of devices) {
    device.connect(opener, {
      opened: () => {},
      connack: () => device.listen(),
      ...{ lost: broken("lost its connection"), wrong: broken("was answered wrongly") },
      down: () => {},
    });
  }
  await until("the others", () => devices.every(({ version }) => version >= 0));
  return devices;
}

/** A device that subscribes, and from then on neither reads nor acknowledges. */
async function freeze(port: number, at: number): Promise<Peer> {
  const device = `frozen-${at}`;
  const peer = await Peer.login(port, device);
  peer.socket.pause();
  peer.say(subscribePacket(1, [topicOf({ tenant: TENANT, device }, "down")]));
  return peer;
}

/** How many of them the gateway has closed: one that reads nothing does not see it. */
async function cutOff(cold: readonly Peer[]): Promise<number> {
  let cut = 0;
  for (const peer of cold) {
    void peer.ended.then(() => {
      cut += 1;
    });
    peer.socket.resume();
  }
  await sleep(THAW_MS);
  const found = cut;
  for (const peer of cold) peer.leave();
  return found;
}

function findings(before: Felt, during: Felt, cut: number): Findings {
  const scenario = "frozen";
  const row = (name: string, value: number, unit: string) => ({ scenario, name, value, unit });
  const name = "the last of the others has a release";
  const pinged = during.pingMs - before.pingMs;
  const [alone, beside] = [Math.max(...before.releaseMs), Math.max(...during.releaseMs)];
  return {
    rows: [
      row("others", OTHERS, ""),
      row("frozen subscribers", FROZEN, ""),
      row("releases beside them", during.releaseMs.length, ""),
      row(`${name}, alone, median`, median(before.releaseMs), "ms"),
      row(`${name}, alone, longest`, alone, "ms"),
      row(`${name}, beside them, median`, median(during.releaseMs), "ms"),
      row(`${name}, beside them, longest`, beside, "ms"),
      row("longest ping of the others, alone", before.pingMs, "ms"),
      row("longest ping of the others, beside them", during.pingMs, "ms"),
    ],
    floors: [
      atMost("frozen: the longest is later by", beside - alone, DELAY_MS_MAX, "ms"),
      atMost("frozen: the longest ping is longer by", pinged, DELAY_MS_MAX, "ms"),
      atLeast("frozen: subscribers cut off", cut, FROZEN, ""),
    ],
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
