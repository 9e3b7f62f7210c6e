/**
 * Backpressure end to end: Redis stands still while 200 devices push as fast as their sockets take it.
 *
 * First PUBACKs stop, then the sockets are no longer read, then newcomers are told to come later;
 * the gateway's memory stays bounded throughout, and what was acknowledged is applied once.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rssBytes } from "../../bench/support/processes.ts";
import { DEFAULT_GATEWAY_LIMITS, PRESSURE_REFUSES_FROM } from "../../gateway/limits.ts";
import { makeFramePool } from "../../src/fleet/load/frame-pool.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { connectBytes, openRaw } from "../gateway/uplink/raw-client.ts";
import { waitFor } from "../support/wait.ts";
import { totalsOf } from "./at-rest.ts";
import { ANY_PORTS, type Bench, type OmegaProcess, openBench, settings } from "./bench.ts";
import { FloodDevice } from "./flood.ts";

const SHARDS = 4;
const DEVICES = 200;
/** What they send ahead together: as honest devices do, or half as much again as the gateway takes. */
const AHEAD = { calm: 2, flood: 30 } as const;
const FRAME_BYTES = 4_096;
const RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const PATIENCE = { timeoutMs: 60_000 };
const { inFlightBytesMax } = DEFAULT_GATEWAY_LIMITS;

let bench: Bench;
let store: Store;
let gateway: OmegaProcess;
const devices: FloodDevice[] = [];

beforeAll(async () => {
  bench = await openBench({ redis: true });
  const backend = ["--redis", bench.redis.url];
  const shared = settings({ shards: SHARDS, "aggregator.http.enabled": false });
  [gateway] = await Promise.all([
    bench.start(["gateway", ...backend, ...ANY_PORTS, ...shared]),
    bench.start(["aggregator", ...backend, ...shared]),
  ]);
  store = await redisStore({ url: bench.redis.url, shards: SHARDS, log: silentLogger });
  const nowS = Math.floor(Date.now() / 1_000);
  const what = { dim: 384, patterns: 4, frameBytes: FRAME_BYTES, seed: 1, nowS };
  const frames = await makeFramePool(what);
  const common = { port: gateway.mqttPort, frames, epoch: Date.now(), aheadMax: AHEAD.calm };
  for (let index = 0; index < DEVICES; index += 1) {
    devices.push(new FloodDevice({ ...common, index }));
  }
}, 120_000);
afterAll(async () => {
  signalRedis("SIGCONT");
  for (const device of devices) device.end();
  await store?.close();
  await bench?.close();
});

describe("backpressure", () => {
  it("P1 P2 P8: Redis stands still: PUBACKs stop, reads stop, newcomers are told busy; memory stays bounded", async () => {
    for (const device of devices) device.start();
    await waitFor(() => devices.every(({ acked }) => acked >= 5), { what: "acks", ...PATIENCE });
    const before = rss();

    signalRedis("SIGSTOP");
    for (const device of devices) device.pushAhead(AHEAD.flood);
    await waitFor(() => stands(acked), { what: "PUBACKs to stop", ...PATIENCE });
    const busyFrom = (inFlightBytesMax * PRESSURE_REFUSES_FROM) / 10;
    await waitFor(async () => (await inFlight()) >= busyFrom, { what: "pressure", ...PATIENCE });
    expect(await newcomerIsTold()).toBe(3);
    await waitFor(() => stands(inFlight), { what: "reads to stop", ...PATIENCE });
    expect(await inFlight()).toBeLessThanOrEqual(inFlightBytesMax);
    expect((await gateway.get("/healthz")).status).toBe(200);
    const full = rss();
    signalRedis("SIGCONT");
    const mark = devices.map((device) => device.acked);
    const goesOn = () => devices.every((device, index) => device.acked > (mark[index] ?? 0));
    await waitFor(goesOn, { what: "PUBACKs to go on", ...PATIENCE });

    // Longer than any add may take: outcomes are unknown, sockets close, devices send again.
    signalRedis("SIGSTOP");
    const lost = lostConnections();
    await waitFor(() => lostConnections() >= lost + DEVICES, { what: "closes", ...PATIENCE });
    const closed = rss();
    signalRedis("SIGCONT");
    for (const device of devices) device.finish();
    await waitFor(() => devices.every(({ done }) => done), { what: "every PUBACK", ...PATIENCE });
    await folded();
    expect(await totalsOf(store)).toMatchObject({ applied: acked(), deadLettered: 0 });
    expect(devices.reduce((sum, { wrong }) => sum + wrong, 0)).toBe(0);
    const mebibytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MiB`;
    console.log(
      `backpressure: ${acked()} acked, gateway ${mebibytes(before)}, full ${mebibytes(full)}, all closed ${mebibytes(closed)}`,
    );
    // What is closed again and again leaves garbage that V8 collects in its own time; what is held does not.
    expect(full - before).toBeLessThanOrEqual(RSS_GROWTH_BYTES_MAX);
  }, 240_000);
});

/** Waits until all that was acknowledged is applied, as long as the fold gets on. */
async function folded(): Promise<void> {
  for (let applied = 0; applied < acked(); ) {
    const before = applied;
    const moved = async () => {
      applied = (await totalsOf(store)).applied;
      return applied > before;
    };
    await waitFor(moved, { what: `more than ${before} of ${acked()} to be applied`, ...PATIENCE });
  }
}

function signalRedis(signal: "SIGSTOP" | "SIGCONT"): void {
  process.kill(bench.redis.pid(), signal);
}

function rss(): number {
  return rssBytes(gateway.running.pid);
}

function acked(): number {
  return devices.reduce((sum, device) => sum + device.acked, 0);
}

function lostConnections(): number {
  return devices.reduce((sum, device) => sum + device.lost, 0);
}

function inFlight(): Promise<number> {
  return gateway.metric("omega_gateway_in_flight_bytes");
}

/** Whether a figure is the same half a second later. */
async function stands(figure: () => number | Promise<number>): Promise<boolean> {
  const before = await figure();
  await new Promise((resolve) => setTimeout(resolve, 500));
  return (await figure()) === before;
}

/** The return code of a new device's CONNACK. */
async function newcomerIsTold(): Promise<number> {
  const client = await openRaw(gateway.mqttPort);
  client.send(connectBytes({ clientId: "newcomer", username: "default/newcomer" }));
  const code = await client.connack();
  client.end();
  return code;
}
