/**
 * The compose topology as processes: three gateways and two aggregators on one Redis behind a real HAProxy, with the
 * configuration files that are shipped. Devices push all the time while every part of it is stopped and started
 * again: full ones, which converge, and light ones, which bring the load. `npm run bench:restart` measures the same.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coveredOf, type Load, startLoad } from "../../bench/restart/load.ts";
import { haproxyConfig } from "../../bench/support/haproxy.ts";
import { MemoryStorage, SyncClient } from "../../device/index.ts";
import { devicePassword } from "../../gateway/index.ts";
import { verifyShards } from "../../src/aggregate/index.ts";
import { lostOf } from "../../src/cli/demo/verdict.ts";
import { type DeviceKey, deviceName, OmegaError } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { openSession, PINGREQ } from "../gateway/uplink/raw-client.ts";
import { freePort } from "../support/disk.ts";
import type { Running } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";
import { type Bench, type OmegaProcess, openBench, ROOT, settings } from "./bench.ts";

const SHARDS = 4;
const DEVICES = 24;
const DIM = 384;
const PUSH_EVERY_MS = 250;
const PATIENCE = { timeoutMs: 60_000 };
/** Of the light devices. What a machine that does nothing else takes, `npm run bench:restart` shows. */
const LOADS = {
  drain: { devices: 150, ratePerS: 500, durationMs: 12_000 },
  rolling: { devices: 100, ratePerS: 200, durationMs: 30_000 },
} as const;
const SECRET = randomBytes(32).toString("hex");
const accepted = 'reason="accepted"';

interface Tv {
  readonly key: DeviceKey;
  readonly client: SyncClient;
  /** `epoch/seq` of every PUBACK. */
  readonly acked: Set<string>;
  pushes: number;
}

let bench: Bench;
let store: Store;
let haproxy: Running;
let config: string;
let mqttPort: number;
const ports: { port: number; httpPort: number }[] = [];
const gateways: OmegaProcess[] = [];
const aggregators: OmegaProcess[] = [];
const tvs: Tv[] = [];
const pushers: NodeJS.Timeout[] = [];
/** Loads that are over: all that was due was acknowledged. */
const loads: { readonly plan: Load["plan"]; readonly acked: number }[] = [];
/** Pushes that not even the outbox took. */
const failures: unknown[] = [];

beforeAll(async () => {
  bench = await openBench({ redis: true });
  store = await redisStore({ url: bench.redis.url, shards: SHARDS, log: silentLogger });
  const shipped = readFileSync(join(ROOT, "deploy/omega.yaml"), "utf8");
  const secretFile = bench.file("device_secret", `${SECRET}\n`);
  config = bench.file("omega.yaml", shipped.replace("/run/secrets/device_secret", secretFile));
  for (let index = 0; index < 3; index += 1) {
    ports.push({ port: await freePort(), httpPort: await freePort() });
  }
  gateways.push(...(await Promise.all(ports.map((_, index) => startGateway(index)))));
  aggregators.push(...(await Promise.all([startAggregator(), startAggregator()])));
  mqttPort = await freePort();
  const balancer = readFileSync(join(ROOT, "deploy/haproxy.cfg"), "utf8");
  const text = haproxyConfig({ shipped: balancer, mqttPort, servers: ports });
  const file = bench.file("haproxy.cfg", text);
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };
  haproxy = bench.run("haproxy", ["-db", "-f", file], { env });
  await waitFor(() => canLogIn("probe-first"), { what: "HAProxy to find a gateway", ...PATIENCE });
}, 180_000);
afterAll(async () => {
  for (const pusher of pushers) clearInterval(pusher);
  await Promise.all(tvs.map(({ client }) => client.stop()));
  await store?.close();
  await bench?.close();
});

describe("three gateways and two aggregators behind HAProxy", () => {
  it("haproxy: devices are spread over the gateways and push all the time", async () => {
    for (let index = 0; index < DEVICES; index += 1) tvs.push(makeTv(`tv-${index}`));
    await Promise.all(tvs.map(({ client }) => client.start()));
    for (const tv of tvs) push(tv);
    await waitFor(() => tvs.every(({ acked }) => acked.size > 0), { what: "acks", ...PATIENCE });
    for (const gateway of gateways) {
      expect(await gateway.metric("omega_gateway_sessions_count")).toBeGreaterThan(0);
    }
  }, 120_000);

  it("haproxy: a gateway that drains says 503, gets no new device, closes its own and ends in 0", async () => {
    const [leaving, ...others] = gateways as [OmegaProcess, ...OmegaProcess[]];
    const load = beginLoad("drain");
    await waitFor(async () => (await sessions()) > DEVICES + LOADS.drain.devices / 2, {
      what: "the light devices to connect",
      everyMs: 250,
      ...PATIENCE,
    });
    const ended = leaving.terminate();
    await waitFor(async () => (await leaving.get("/readyz")).status === 503, { what: "503" });
    await waitFor(() => haproxyLog().includes("gateways/gateway-1 is DOWN"), {
      what: "HAProxy to see it",
    });
    const before = await leaving.metric("omega_gateway_connects_total", accepted);
    const elsewhere = await logins(others);
    const probes = Array.from({ length: 10 }, (_, probe) => canLogIn(`probe-${probe}`));
    expect(await Promise.all(probes)).not.toContain(false);
    expect(await logins(others)).toBeGreaterThanOrEqual(elsewhere + 10);
    // It is still serving what it had: the grace is longer than HAProxy's checks.
    expect(await leaving.metric("omega_gateway_connects_total", accepted)).toBe(before);
    expect(await ended).toBe(0);
    const marks = new Map(tvs.map((tv) => [tv, tv.acked.size]));
    await waitFor(() => tvs.every((tv) => tv.acked.size > (marks.get(tv) ?? 0)), {
      what: "every device to be acknowledged by the others",
      ...PATIENCE,
    });
    await endLoad("drain", load);
  }, 120_000);

  it("haproxy: started again, it gets devices again", async () => {
    gateways[0] = await startGateway(0);
    await waitFor(() => haproxyLog().includes("gateways/gateway-1 is UP"), { what: "UP" });
    let probe = 0;
    await waitFor(
      async () => {
        await canLogIn(`again-${probe++}`);
        return ((await gateways[0]?.metric("omega_gateway_connects_total", accepted)) ?? 0) > 0;
      },
      { what: "a device on the new gateway", ...PATIENCE },
    );
  }, 120_000);

  it("haproxy: an aggregator that ends in 0 leaves its shards to the other, and gets some when it is back", async () => {
    const [leaving, staying] = aggregators as [OmegaProcess, OmegaProcess];
    expect(await leaving.terminate()).toBe(0);
    const shards = Array.from({ length: SHARDS }, (_, shard) => shard);
    const before = await Promise.all(
      shards.map(async (shard) => (await store.stats(shard)).applied),
    );
    await waitFor(
      async () => {
        const now = await Promise.all(shards.map((shard) => store.stats(shard)));
        return now.every(({ applied }, shard) => applied > (before[shard] ?? 0));
      },
      { what: "every shard to be folded by the one that stays", ...PATIENCE },
    );
    expect(staying.running.child.exitCode).toBeNull();
    aggregators[0] = await startAggregator();
    await shardsAreShared();
  }, 120_000);

  it("haproxy: while Redis is away devices keep their connections and new ones are let in; PUBACKs come when it is back", async () => {
    const closesBefore = await queueCloses();
    await bench.redis.kill9();
    const late = ["tv-late", "tv-later"].map(makeTv);
    for (const tv of late) {
      tvs.push(tv);
      await tv.client.start();
      push(tv);
      const letIn = () => ["catching-up", "live"].includes(tv.client.phase);
      await waitFor(letIn, { what: `${tv.key.device} to be let in`, ...PATIENCE });
      // A gateway that nobody uses finds nothing missing: the first one shows it that Redis is away.
      await waitFor(() => haproxyLog().includes("gateways has no server available"), {
        what: "HAProxy to find no gateway ready",
        ...PATIENCE,
      });
    }
    const acked = tvs.map((tv) => tv.acked.size);
    await bench.redis.restart();
    await waitFor(() => tvs.every((tv, index) => tv.acked.size > (acked[index] ?? 0)), {
      what: "every PUBACK after Redis is back",
      ...PATIENCE,
    });
    expect(acked.slice(-late.length)).toEqual([0, 0]);
    expect(await queueCloses()).toBe(closesBefore);
    await storeAnswers();
  }, 120_000);

  it("haproxy: every other server and Redis are restarted in turn, and all that was due is acknowledged", async () => {
    const load = beginLoad("rolling");
    for (const index of [1, 2]) {
      expect(await gateways[index]?.terminate()).toBe(0);
      gateways[index] = await startGateway(index);
      const up = `gateways/gateway-${index + 1} is UP`;
      await waitFor(() => haproxyLog().includes(up), { what: up });
    }
    expect(await aggregators[1]?.terminate()).toBe(0);
    aggregators[1] = await startAggregator();
    await bench.redis.restart("SIGTERM");
    await endLoad("rolling", load);
    await storeAnswers();
    await shardsAreShared();
  }, 180_000);

  it("haproxy: nothing is lost, all is applied once, all converge", async () => {
    for (const pusher of pushers) clearInterval(pusher);
    await waitFor(() => tvs.every(({ client }) => client.pending === 0), {
      what: "the outboxes to run empty",
      ...PATIENCE,
    });
    expect(failures).toEqual([]);
    const ofTvs = tvs.reduce((sum, tv) => sum + tv.acked.size, 0);
    expect(ofTvs).toBeGreaterThan(DEVICES * 5);
    const acked = loads.reduce((sum, load) => sum + load.acked, ofTvs);
    await waitFor(async () => (await totals()).applied >= acked, { what: "folding", ...PATIENCE });
    expect(await totals()).toMatchObject({ applied: acked, deadLettered: 0 });
    const keys = tvs.map(({ key }) => key);
    const cursors = await store.cursors(keys);
    const lost = tvs.map((tv, index) => lostOf(tv.acked, cursors[index] ?? null));
    expect(lost).toEqual(tvs.map(() => 0));
    for (const load of loads) expect(await coveredOf(store, load.plan)).toBe(load.acked);
    const retention = { bucketMs: 86_400_000, bucketsKept: 30 };
    const light = Array.from({ length: LOADS.drain.devices }, (_, index) => {
      return { tenant: "default", device: `fleet-${index}` };
    });
    for (const verdict of await verifyShards(store, [...keys, ...light], retention, Date.now())) {
      expect(verdict.mismatches).toEqual([]);
    }
    await waitFor(
      async () => {
        const ladder = (await store.currentRelease("default"))?.ladder1 ?? null;
        if (ladder === null) return false;
        const hash = Buffer.from(ladder.contentHash).toString("hex");
        return tvs.every(({ client }) => {
          const held =
            client.contentHash === null ? "" : Buffer.from(client.contentHash).toString("hex");
          return client.version === ladder.version && held === hash;
        });
      },
      { what: "every device to hold the newest release, bit for bit (P5)", ...PATIENCE },
    );
    for (const { client } of tvs) expect(client.patterns.size).toBeGreaterThan(0);
  }, 240_000);
});

function startGateway(index: number): Promise<OmegaProcess> {
  const { port, httpPort } = ports[index] ?? { port: 0, httpPort: 0 };
  const addresses = ["--port", `${port}`, "--http-port", `${httpPort}`];
  // Loopback instead of the compose network. The one whose grace is looked into has a longer one than shipped, for a
  // machine that is busy.
  const local = settings({
    "gateway.tcp.host": "127.0.0.1",
    "gateway.http.host": "127.0.0.1",
    "gateway.drain.readyGraceMs": index === 0 ? 14_000 : 3_000,
    "gateway.drain.closeMs": 2_000,
  });
  return bench.start(["gateway", "--config", config, ...backend(), ...addresses, ...local]);
}

function beginLoad(name: keyof typeof LOADS): Load {
  return startLoad({ url: `mqtt://127.0.0.1:${mqttPort}`, secret: SECRET }, LOADS[name]);
}

/** Every delta that was due was acknowledged, however often it had to be sent. */
async function endLoad(name: keyof typeof LOADS, { plan, result }: Load): Promise<void> {
  const { counts, ackMs } = await result;
  const { acked, offered, resent } = counts;
  console.log(`haproxy, ${name}: ${acked} acked, ${resent} sent again, worst gap ${ackMs.max} ms`);
  expect(counts).toMatchObject({ acked: offered, refused: 0, wrongAnswers: 0 });
  loads.push({ plan, acked });
}

/** Connections that were closed because an add was not durable in time. */
function queueCloses(): Promise<number> {
  return sumOf(gateways, "omega_gateway_closes_total", 'reason="queue.');
}

function sessions(): Promise<number> {
  return sumOf(gateways, "omega_gateway_sessions_count");
}

async function sumOf(some: readonly OmegaProcess[], name: string, label = ""): Promise<number> {
  const counts = await Promise.all(some.map((gateway) => gateway.metric(name, label)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The test's own connection dials again in its own time, up to three seconds after the servers' have. */
async function storeAnswers(): Promise<void> {
  await waitFor(
    async () => {
      try {
        return await store.stats(0);
      } catch (error) {
        if (error instanceof OmegaError && error.reason === "store.unavailable") return null;
        throw error;
      }
    },
    { what: "the store to answer after Redis was restarted", ...PATIENCE },
  );
}

/** Every shard has its writer, and each aggregator some of them. */
async function shardsAreShared(): Promise<void> {
  await waitFor(
    async () => {
      const held = await Promise.all(
        aggregators.map((aggregator) => aggregator.metric("omega_aggregate_shards_held")),
      );
      return held.every((count) => count > 0) && held.reduce((a, b) => a + b, 0) === SHARDS;
    },
    { what: "both aggregators to hold shards", ...PATIENCE },
  );
}

function startAggregator(): Promise<OmegaProcess> {
  const eager = settings({
    "aggregator.http.host": "127.0.0.1",
    "aggregator.http.port": 0,
    "releaser.minDevices": 2,
    "releaser.cadenceMs": 1_000,
  });
  return bench.start(["aggregator", "--config", config, ...backend(), ...eager]);
}

function backend(): string[] {
  return ["--redis", bench.redis.url];
}

function passwordOf(key: DeviceKey): string {
  return devicePassword(SECRET, key);
}

/** What HAProxy printed, on either stream. */
function haproxyLog(): string {
  return haproxy.stdout() + haproxy.stderr();
}

async function canLogIn(clientId: string): Promise<boolean> {
  const key = { tenant: "default", device: clientId };
  try {
    const login = { clientId, username: deviceName(key), password: passwordOf(key) };
    const client = await openSession(mqttPort, login);
    // Answered only once the session stands: one that ends with its CONNACK may never be counted.
    client.send(PINGREQ);
    await client.next("pingresp");
    client.end();
    return true;
  } catch {
    return false;
  }
}

function logins(some: readonly OmegaProcess[]): Promise<number> {
  return sumOf(some, "omega_gateway_connects_total", accepted);
}

async function totals(): Promise<{ applied: number; deadLettered: number }> {
  const sum = { applied: 0, deadLettered: 0 };
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const { applied, deadLettered } = await store.stats(shard);
    sum.applied += applied;
    sum.deadLettered += deadLettered;
  }
  return sum;
}

function makeTv(device: string): Tv {
  const key = { tenant: "default", device };
  const client = new SyncClient({
    deviceId: device,
    endpoints: `mqtt://127.0.0.1:${mqttPort}`,
    credentials: { password: () => passwordOf(key) },
    storage: new MemoryStorage(),
    dim: DIM,
    backoff: { delayMsBase: 100, delayMsMax: 1_000 },
  });
  const tv: Tv = { key, client, acked: new Set(), pushes: 0 };
  client.on("acked", ({ position }) => tv.acked.add(`${position.epoch}/${position.seq}`));
  return tv;
}

/** Says something new every {@link PUSH_EVERY_MS} until the test clears {@link pushers}. */
function push(tv: Tv): void {
  const pusher = setInterval(() => {
    tv.pushes += 1;
    const id = `pattern-${tv.pushes % 3}`;
    const embedding = Float32Array.from({ length: DIM }, (_, index) => {
      return Math.sin(index + tv.pushes / 10) / 20;
    });
    const delta = { upserts: [{ id, embedding, weight: 1 + (tv.pushes % 100) }] };
    tv.client.enqueue(delta).catch((error: unknown) => failures.push(error));
  }, PUSH_EVERY_MS);
  pushers.push(pusher);
}
