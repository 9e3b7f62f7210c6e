/**
 * A kill test's scene: backend, gateway process, aggregator process, pushing TVs; and how it ends.
 * @module
 */
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { MemoryStorage, type OutboxStorage } from "../../device/index.ts";
import {
  integerBelow,
  type Random,
  seededRandom,
  sleep,
  systemClock,
} from "../../src/core/index.ts";
import { freePort } from "../support/disk.ts";
import { deltaFaults, registerFaults, releaseAtRest, totalsOf, versionFaults } from "./at-rest.ts";
import { type BackendUnderTest, closing, SHARDS } from "./backend-under-test.ts";
import { DIM, FleetUnderTest, TENANT } from "./fleet-under-test.ts";
import { DIST, OmegaProcess } from "./omega-process.ts";

const AGGREGATOR_TO_KILL = fileURLToPath(new URL("./aggregator-to-kill.mjs", import.meta.url));
/** Nothing here takes that long on an idle machine; a loaded one may. */
const REST_TIMEOUT_MS = 90_000;
const POLL_MS = 50;
/** Fewer say nothing: kills at random moments alone may let fewer than that through. */
const MIN_ACKED = 101;

export interface Ports {
  readonly mqtt: number;
  readonly http: number;
}

export async function freePorts(): Promise<Ports> {
  return { mqtt: await freePort(), http: await freePort() };
}

/** The settings every process of a scene shares. */
export function settingsOf(ports: Ports): string[] {
  return [
    `shards=${SHARDS}`,
    `tenants.${TENANT}.dim=${DIM}`,
    `gateway.tcp.port=${ports.mqtt}`,
    `gateway.http.port=${ports.http}`,
    // Test files run beside one another, and the port it has by default is one.
    "aggregator.http.enabled=false",
    "aggregator.leaseTtlMs=1000",
    "aggregator.commitIntervalMs=50",
    "releaser.cadenceMs=500",
    "releaser.minDevices=2",
    "log.level=error",
  ];
}

export function commandOf(command: string, settings: readonly string[]): string[] {
  return [command, "--json", "--set", ...settings];
}

/**
 * "brisk": few devices, dozens of deltas a second from each. "broad": as many deltas from many
 * devices, each of which stays far below the 256 of the dedup window for minutes; jobs of a dead
 * aggregator come back late, and a device must not have left the window by then.
 */
const PACES = {
  brisk: { count: 8, pauseMsMax: 60 },
  broad: { count: 40, pauseMsMax: 1_500 },
} as const;

export function makeFleet(
  pace: keyof typeof PACES,
  ports: Ports,
  seed: number,
  storageOf: (device: string) => OutboxStorage = () => new MemoryStorage(),
): FleetUnderTest {
  return new FleetUnderTest({ port: ports.mqtt, seed, storageOf, ...PACES[pace] });
}

export function makeGateway(backend: BackendUnderTest, ports: Ports): OmegaProcess {
  const { database, settings } = backend;
  const flags = database === null ? [] : ["--from-parent"];
  const args = [...commandOf("gateway", [...settingsOf(ports), ...settings]), ...flags];
  return new OmegaProcess({ args, database });
}

export interface Strike {
  readonly moment: "before-commit" | "after-commit";
  /** Which of its commits kills it, ≥ 1. */
  readonly nth: number;
}

export function makeAggregator(
  backend: BackendUnderTest,
  ports: Ports,
  strike: Strike | null,
): OmegaProcess {
  const settings = [...settingsOf(ports), ...backend.settings];
  const args = [DIST, JSON.stringify({ settings, strike })];
  return new OmegaProcess({ script: AGGREGATOR_TO_KILL, args, database: backend.database });
}

/** The command as it is deployed, where it can reach the backend by itself. */
function aggregatorFor(backend: BackendUnderTest, ports: Ports): OmegaProcess {
  if (backend.database !== null) return makeAggregator(backend, ports, null);
  const args = commandOf("aggregator", [...settingsOf(ports), ...backend.settings]);
  return new OmegaProcess({ args, database: null });
}

export interface Scene extends RestingScene {
  readonly seed: number;
  readonly random: Random;
}

/** A gateway and an aggregator on `backend`, and TVs that push; `opened` closes it all, the backend too. */
export async function openScene(
  opened: Opened,
  backend: BackendUnderTest,
  pace: keyof typeof PACES,
): Promise<Scene> {
  opened.add(() => backend.close());
  const seed = newSeed();
  const ports = await freePorts();
  const aggregator = aggregatorFor(backend, ports);
  opened.add(() => aggregator.kill9());
  const gateway = makeGateway(backend, ports);
  opened.add(() => gateway.kill9());
  const fleet = makeFleet(pace, ports, seed);
  opened.add(() => fleet.stop());
  await Promise.all([aggregator.start(), gateway.start()]);
  await fleet.start();
  return { backend, gateway, aggregator, fleet, seed, random: seededRandom(seed) };
}

/** kill -9 of the gateway in mid-publish, again and again. */
export async function killGateway({ fleet, gateway, random }: Scene, kills: number): Promise<void> {
  for (let kill = 0; kill < kills; kill += 1) {
    await randomMoment(fleet, random);
    await gateway.kill9();
    await gateway.start();
  }
}

/** A moment in mid-publish: a random number of frames from now, and up to 15 ms after the last of them. */
export async function randomMoment(fleet: FleetUnderTest, random: Random): Promise<void> {
  await fleet.next(random.next() < 0.5 ? "sent" : "acked", 1 + integerBelow(random, 40));
  await sleep(systemClock, random.next() * 15);
}

export interface RestingScene {
  readonly backend: BackendUnderTest;
  readonly gateway: OmegaProcess;
  readonly aggregator: OmegaProcess;
  readonly fleet: FleetUnderTest;
}

/** Lets enough be acknowledged and everything come to rest, and gives every fault that is then found (P1 to P6). */
export async function faultsAtRest(scene: RestingScene): Promise<string[]> {
  const { fleet, backend, gateway, aggregator } = scene;
  const { store } = backend;
  await reach(() => fleet.acked() >= MIN_ACKED);
  await fleet.stopPushing();
  await reach(() => fleet.pending() === 0);
  const producer = await backend.queue.producer();
  await reach(async () => (await producer.depth()) === 0);
  // Whoever connects is told the watermark, so this makes everyone know the last one.
  await gateway.kill9();
  await gateway.start();
  await reach(async () => (await registerFaults(store, fleet)).length === 0);
  const ended = await aggregator.stop();
  const releaseFaults = await releaseAtRest(store);
  await reach(async () => (await versionFaults(store, fleet)).length === 0);
  return [
    ...(ended === 0 ? [] : [`the aggregator ended with ${ended}: ${aggregator.stderr}`]),
    ...((await producer.depth()) === 0 ? [] : ["the queue never ran empty"]),
    ...releaseFaults,
    ...(await deltaFaults(store, fleet)),
    ...(await registerFaults(store, fleet)),
    ...(await versionFaults(store, fleet)),
  ];
}

/** Waits for `check`, but not for ever: what it waited for is judged afterwards, by name. */
async function reach(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + REST_TIMEOUT_MS;
  while (!(await check()) && systemClock.monotonicMs() < deadlineMs) {
    await sleep(systemClock, POLL_MS);
  }
}

/** Prints what happened and fails on any fault; the seed is in both. */
export async function expectNoFaults(
  name: string,
  seed: number,
  faults: readonly string[],
  { fleet, backend }: Pick<RestingScene, "fleet" | "backend">,
): Promise<void> {
  const { applied, duplicates } = await totalsOf(backend.store);
  const [acked, resends] = [fleet.acked(), fleet.resends()];
  console.log(
    `${name}: seed ${seed}, ${acked} acked, ${applied} applied, ${duplicates} duplicates, ${resends} resends`,
  );
  expect(faults, `seed ${seed}`).toEqual([]);
  expect(acked, "deltas were acknowledged").toBeGreaterThanOrEqual(MIN_ACKED);
}

export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

/** Collects what a test opened; `close` closes it in reverse. */
export class Opened {
  readonly #steps: (() => Promise<unknown>)[] = [];

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  close(): Promise<void> {
    return closing(this.#steps.splice(0))();
  }
}
