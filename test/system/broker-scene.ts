/**
 * Devices that only know a Mosquitto, and processes of ours that stand behind it.
 * @module
 */
import { MemoryStorage } from "../../device/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { type QueueBackend, redisQueue } from "../../src/queue/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { freePort } from "../support/disk.ts";
import { type MosquittoServer, startMosquitto } from "../support/mosquitto-server.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";
import { deltaFaults, registerFaults, releaseAtRest, totalsOf, versionFaults } from "./at-rest.ts";
import { SHARDS } from "./backend-under-test.ts";
import { FleetUnderTest } from "./fleet-under-test.ts";
import { OmegaProcess } from "./omega-process.ts";
import { commandOf, type Opened, settingsOf } from "./scene.ts";

export interface BrokerScene {
  readonly mosquitto: MosquittoServer;
  readonly redis: RedisServer;
  readonly store: Store;
  readonly queue: QueueBackend;
  readonly aggregator: OmegaProcess;
}

export interface Member {
  readonly process: OmegaProcess;
  readonly httpPort: number;
}

const REST_TIMEOUT_MS = 60_000;

/** Redis, Mosquitto and an aggregator, all running. */
export async function openBrokerScene(opened: Opened): Promise<BrokerScene> {
  const redis = await startRedis();
  opened.add(() => redis.stop());
  const mosquitto = await startMosquitto({ tls: true });
  opened.add(() => mosquitto.stop());
  const { url } = redis;
  const queue = await redisQueue({ url, shards: SHARDS, log: silentLogger });
  opened.add(() => queue.close());
  const store = await redisStore({ url, shards: SHARDS, log: silentLogger });
  opened.add(() => store.close());
  const ports = { mqtt: await freePort(), http: await freePort() };
  const settings = [...settingsOf(ports), `backend=${url}`];
  const args = commandOf("aggregator", settings);
  const aggregator = new OmegaProcess({ args, database: null });
  opened.add(() => aggregator.kill9());
  await aggregator.start();
  return { mosquitto, redis, store, queue, aggregator };
}

/** An ingest process, not started yet; `number` makes its client id. */
export async function memberOf(
  { mosquitto, redis }: BrokerScene,
  opened: Opened,
  number: number,
  more: readonly string[] = [],
  brokerUrl = mosquitto.url,
): Promise<Member> {
  const httpPort = await freePort();
  const settings = [
    ...settingsOf({ mqtt: await freePort(), http: httpPort }),
    `backend=${redis.url}`,
    `gateway.broker.url=${brokerUrl}`,
    `gateway.broker.clientId=ingest-${number}`,
    ...more,
  ];
  const process = new OmegaProcess({ args: commandOf("gateway", settings), database: null });
  opened.add(() => process.kill9());
  return { process, httpPort };
}

export function fleetBehind(
  { mosquitto }: BrokerScene,
  count: number,
  pauseMsMax: number,
  seed: number,
): FleetUnderTest {
  const storageOf = () => new MemoryStorage();
  return new FleetUnderTest({ port: mosquitto.port, count, pauseMsMax, seed, storageOf });
}

/** The status of an HTTP path of a member and what it said; status 0 when nobody answers. */
export async function ask(
  { httpPort }: Member,
  path: string,
): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(`http://127.0.0.1:${httpPort}${path}`);
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: 0, text: "" };
  }
}

/** Lets everything come to rest, and gives every fault that is then found (P1 to P6). */
export async function brokerFaultsAtRest(
  { store, aggregator }: BrokerScene,
  fleet: FleetUnderTest,
): Promise<string[]> {
  await fleet.stopPushing();
  const reach = (check: () => Promise<boolean>) =>
    waitFor(check, { timeoutMs: REST_TIMEOUT_MS, everyMs: 50 }).catch(() => {});
  await reach(async () => fleet.pending() === 0);
  await reach(async () => (await totalsOf(store)).applied >= fleet.acked());
  const ended = await aggregator.stop();
  const released = await releaseAtRest(store);
  await reach(async () => (await versionFaults(store, fleet)).length === 0);
  await reach(async () => (await registerFaults(store, fleet)).length === 0);
  return [
    ...(ended === 0 ? [] : [`the aggregator ended with ${ended}: ${aggregator.stderr}`]),
    ...released,
    ...(await deltaFaults(store, fleet)),
    ...(await registerFaults(store, fleet)),
    ...(await versionFaults(store, fleet)),
  ];
}
