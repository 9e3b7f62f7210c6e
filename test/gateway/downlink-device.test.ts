/**
 * The two ends of the downlink together: the SDK against the real gateway, with
 * releases and models from the server model behind it.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { MemoryStorage, SyncClient, type SyncClientOptions } from "../../device/index.ts";
import { Gateway } from "../../gateway/index.ts";
import { createMetrics, type Metrics } from "../../src/observe/index.ts";
import { readModelFrame } from "../../src/wire/index.ts";
import { ServerModel } from "../device/server-model.ts";
import { DIM, pattern, zstd } from "../device/world.ts";
import { waitFor } from "../support/wait.ts";
import { SourceDouble } from "./downlink-world.ts";

let gateway: Gateway;
let source: SourceDouble;
let server: ServerModel;
let metrics: Metrics;
const clients: SyncClient[] = [];

beforeEach(async () => {
  source = new SourceDouble();
  server = new ServerModel(zstd, DIM, "default/tv");
  metrics = createMetrics();
  publish();
  gateway = new Gateway({
    listeners: { tcp: { host: "127.0.0.1", port: 0 } },
    auth: { mode: "none" },
    shards: 1,
    // What a gateway hands on is what the aggregator gets.
    producer: {
      add: async (_shard, entries) => {
        for (const { frame } of entries) server.receive(new Uint8Array(frame));
        source.viewsOf.set("default/tv", {
          base: server.base,
          applied: server.applied,
          problems: server.problems.slice(-8),
        });
      },
    },
    source,
    metrics,
    downlinkLimits: { jitterMsMax: 0, refreshMs: 50 },
  });
  await gateway.start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.stop();
  await gateway.stop();
});

/** Everything the server model has, announced. */
function publish(): void {
  for (const [version, frame] of server.modelFrames) {
    source.models.set(`omega/v1/default/codec/${version}`, readModelFrame(frame).model);
  }
  const { ladder, ladder1 } = server.renditions;
  source.release(ladder, { ladder1 });
}

async function tv(options: Partial<SyncClientOptions> = {}): Promise<SyncClient> {
  const { port } = gateway.addresses.tcp ?? { port: 0 };
  const client = new SyncClient({
    deviceId: "tv",
    endpoints: `mqtt://127.0.0.1:${port}`,
    dim: DIM,
    storage: new MemoryStorage(),
    backoff: { delayMsBase: 10, delayMsMax: 50 },
    zstd,
    ...options,
  });
  clients.push(client);
  await client.start();
  return client;
}

test("a device gets a release in parts, its model on request, and no frame in vain", async () => {
  server.learn(1);
  server.release(4_000);
  publish();
  const client = await tv();
  const parts: string[] = [];
  client.on("preview", ({ part, parts: of }) => parts.push(`${part}/${of}`));
  await waitFor(() => client.version === 1);
  expect(client.contentHash).toEqual(server.renditions.ladder1.contentHash);
  expect(parts.length).toBeGreaterThan(0);
  expect(client.patterns.get("g10")?.embedding[0]).toBeCloseTo(4_000 / 16_384, 2);
  expect(client.stats).toMatchObject({ corrupted: 0, models: 1, pulls: 1 });
  server.release(4_100);
  publish();
  await waitFor(() => client.version === 2);
  expect(client.contentHash).toEqual(server.renditions.ladder1.contentHash);
  expect(client.stats).toMatchObject({ corrupted: 0, models: 1, pulls: 1 });
  expect(await metrics.render()).toContain('omega_gateway_down_frames_total{kind="model"} 1');
});

test("it returns with its base, and its retained frame is the difference", async () => {
  server.release(4_000);
  publish();
  const storage = new MemoryStorage();
  const before = await tv({ storage });
  await waitFor(() => before.version === 1);
  await before.stop();
  server.release(4_100);
  publish();
  const client = await tv({ storage });
  await waitFor(() => client.version === 2);
  expect(client.stats).toMatchObject({ pulls: 0, corrupted: 0 });
  expect(await metrics.render()).toMatch(/down_frames_total\{kind="release-delta"\} [1-9]/);
});

test("old and new devices share a gateway, each with its own rendition", async () => {
  server.release(4_000);
  publish();
  const old = await tv({ deviceId: "old", codec: 0 });
  const client = await tv();
  await waitFor(() => old.version === 1 && client.version === 1);
  expect(old.contentHash).toEqual(server.renditions.ladder.contentHash);
  expect(client.contentHash).toEqual(server.renditions.ladder1.contentHash);
});

test("P6: deltas coded with the model end in registers that the device knows bit for bit", async () => {
  server.learn(1);
  server.release(4_000);
  publish();
  const client = await tv();
  await waitFor(() => client.version === 1);
  for (let step = 0; step < 3; step += 1) {
    await client.sync({ upserts: [pattern("a", 1 + step / 50), pattern("b", 2 - step / 50)] });
    await waitFor(() => client.believedRegisters().get("a")?.seq === step + 1);
  }
  expect(server.problems).toEqual([]);
  for (const [id, register] of client.believedRegisters()) {
    expect(register.space).toBe(1);
    expect(server.registers.get(id)).toMatchObject({ ...register });
  }
  expect(client.stats.budgetBytes).toBe(1_024);
});
