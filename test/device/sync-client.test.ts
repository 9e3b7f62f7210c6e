import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createWebSocketStream, WebSocketServer } from "ws";
import {
  MemoryStorage,
  type OmegaError,
  type OpenLink,
  type OutboxStorage,
  openMqttLink,
  SyncClient,
  type SyncClientOptions,
} from "../../device/index.ts";
import { systemClock } from "../../src/core/index.ts";
import { encodePull } from "../../src/wire/index.ts";
import { makeCerts } from "../support/certs.ts";
import { freePort, type TempDir, tempDir } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { startBroker, type TestBroker } from "./broker.ts";
import { ServerModel } from "./server-model.ts";
import { DIM, pattern, zstd } from "./world.ts";

const KEY = { tenant: "default", device: "tv-1" };
const QUICK = {
  deviceId: "tv-1",
  dim: DIM,
  backoff: { delayMsBase: 10, delayMsMax: 40 },
  connectTimeoutMs: 500,
  loginTimeoutMs: 500,
  codec: 0,
  zstd,
} as const;

let dir: TempDir;
let model: ServerModel;
const closing: (() => Promise<void>)[] = [];

beforeEach(() => {
  dir = tempDir();
  model = new ServerModel(zstd, DIM, "default/tv-1");
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await dir.remove();
});

async function broker(port = 0): Promise<TestBroker> {
  const started = await startBroker(model, KEY, port);
  closing.push(() => started.close());
  return started;
}

function client(
  options: Partial<SyncClientOptions> & { endpoints: SyncClientOptions["endpoints"] },
) {
  const { dataDir, ...rest } = options;
  const storage = dataDir === undefined ? { storage: new MemoryStorage() } : { dataDir };
  const made = new SyncClient({ ...QUICK, ...storage, ...rest });
  closing.push(() => made.stop());
  return made;
}

function next<Event extends "release" | "error" | "refused" | "phase" | "acked">(
  from: SyncClient,
  event: Event,
) {
  return new Promise<unknown>((resolve) => {
    const off = from.on(event, (value) => {
      off();
      resolve(value);
    });
  });
}

describe("sync client over a real broker", () => {
  it("goes from offline to live, syncs, and is told where its delta is", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url });
    const phases: string[] = [tv.phase];
    tv.on("phase", ({ phase }) => phases.push(phase));
    await tv.start();
    const result = await tv.sync({ upserts: [pattern("a", 1), pattern("b", 2)] });
    expect(result.positions).toEqual([{ epoch: expect.any(Number), seq: 1 }]);
    expect([...model.registers.keys()]).toEqual(["a", "b"]);
    expect(gateway.logins).toEqual([{ username: "default/tv-1", password: undefined }]);
    expect(tv.pending).toBe(0);
    expect(tv.stats).toMatchObject({
      sent: 1,
      acked: 1,
      sentRawBytes: 64,
      resends: 0,
      reconnects: 0,
    });
    await tv.stop();
    await tv.stop();
    expect(phases).toEqual(["offline", "connecting", "catching-up", "live", "stopped"]);
    await waitFor(() => gateway.clients() === 0);
  });

  it("P5: applies releases in order and shows their patterns", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url });
    const versions: number[] = [];
    tv.on("release", ({ version }) => versions.push(version));
    await tv.start();
    for (let fill = 1; fill <= 5; fill += 1) {
      model.release(fill * 1_000);
      await gateway.publish();
    }
    await waitFor(() => tv.version === 5);
    expect(versions).toEqual([...versions].sort((left, right) => left - right));
    expect(tv.contentHash).toEqual(model.contentHash);
    expect(tv.patterns.get("g10")?.devices).toBe(3);
    expect(tv.patterns.get("g10")?.embedding[0]).toBeCloseTo(5_000 / 16_384, 2);
    expect(tv.patterns.get("g10")?.embedding).toBe(tv.patterns.get("g10")?.embedding);
  });

  it("P6: hears of a refusal before the watermark and says the pattern again", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    await gateway.publish();
    await waitFor(() => tv.believedRegisters().size === 1);
    model.registers.clear();
    const refused = next(tv, "refused");
    await tv.sync({ upserts: [pattern("a", 1.01)] });
    await gateway.publish();
    expect(await refused).toMatchObject({ reason: "reference.missing" });
    await waitFor(() => model.registers.has("a"));
    await waitFor(() => tv.pending === 0);
    await gateway.publish();
    await waitFor(() => tv.believedRegisters().get("a")?.seq === 3);
    expect(tv.believedRegisters().get("a")?.vector).toEqual(model.registers.get("a")?.vector);
  });

  it("P3: what a cut left unacknowledged is resent byte for byte, in order", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url });
    await tv.start();
    await waitFor(() => tv.phase === "live");
    gateway.holding = true;
    const first = tv.sync({ upserts: [pattern("a", 1)] });
    await waitFor(() => gateway.frames.length === 1);
    const second = tv.sync({ upserts: [pattern("b", 2)] });
    await waitFor(() => gateway.frames.length === 2);
    gateway.holding = false;
    gateway.cut();
    await Promise.all([first, second]);
    expect(gateway.frames.length).toBe(4);
    expect(gateway.frames.slice(2)).toEqual(gateway.frames.slice(0, 2));
    expect(tv.stats).toMatchObject({ resends: 2, reconnects: 1, acked: 2 });
    expect(model.altered).toBe(0);
  });

  it("an acknowledgement that does not come in time makes it reconnect and resend", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url, timeout: 0.2, retryAttempts: 5 });
    await tv.start();
    await waitFor(() => tv.phase === "live");
    gateway.holding = true;
    const failed = next(tv, "error");
    const synced = tv.sync({ upserts: [pattern("a", 1)] });
    expect(await failed).toMatchObject({ code: "Timeout", reason: "ack.timeout" });
    gateway.holding = false;
    await synced;
    expect(model.registers.has("a")).toBe(true);
  });

  it("a gateway that restarts is found again", async () => {
    const gateway = await startBroker(model, KEY);
    const tv = client({ endpoints: gateway.url });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    await gateway.close();
    await waitFor(() => tv.phase !== "live");
    const synced = tv.sync({ upserts: [pattern("b", 1)] });
    await broker(gateway.port);
    await synced;
    expect(model.registers.has("b")).toBe(true);
  });

  it("asks for a fresh password before every connection, and busy is not bad credentials", async () => {
    const gateway = await broker();
    gateway.connack = 3;
    let asked = 0;
    const tv = client({
      endpoints: gateway.url,
      credentials: { username: "me", password: () => `token-${++asked}` },
    });
    const errors: OmegaError[] = [];
    tv.on("error", (error) => {
      errors.push(error);
      gateway.connack = errors.length === 1 ? 4 : 0;
    });
    await tv.start();
    await waitFor(() => tv.phase === "live");
    expect(errors.map(({ reason }) => reason)).toEqual(["connect.busy", "connect.credentials"]);
    expect(gateway.logins.slice(0, 2)).toEqual([
      { username: "me", password: "token-1" },
      { username: "me", password: "token-2" },
    ]);
    expect(errors.join()).not.toContain("token-");
  });
});

describe("several endpoints", () => {
  it("fails over to the next one and goes back when the preferred one returns", async () => {
    const preferred = await freePort();
    const second = await broker();
    const tv = client({
      endpoints: [{ url: `mqtt://127.0.0.1:${preferred}` }, { url: second.url, priority: 1 }],
      failBackMs: 300,
    });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    expect(second.clients()).toBe(1);
    const first = await broker(preferred);
    await waitFor(() => first.clients() === 1);
    await waitFor(() => second.clients() === 0);
    await tv.sync({ upserts: [pattern("b", 1)] });
    expect(first.frames.length).toBe(1);
  });
});

describe("offline", () => {
  it("sync gives up waiting, the delta stays and is sent when a gateway appears", async () => {
    const port = await freePort();
    const tv = client({ endpoints: `mqtt://127.0.0.1:${port}`, timeout: 0.05, dataDir: dir.path });
    await tv.start();
    await expect(tv.sync({ upserts: [pattern("a", 1)] })).rejects.toMatchObject({
      code: "RetryExhausted",
      reason: "sync.unacked",
      message: expect.stringContaining("safe in the outbox"),
      cause: { code: "Network" },
    });
    expect(tv.pending).toBe(1);
    await broker(port);
    await waitFor(() => model.registers.has("a"));
  });

  it("an aborted wait and a stop leave the delta in the outbox; the next process sends it", async () => {
    const port = await freePort();
    const endpoints = `mqtt://127.0.0.1:${port}`;
    const tv = client({ endpoints, dataDir: dir.path });
    await tv.start();
    const abort = new AbortController();
    const aborted = tv.sync({ upserts: [pattern("a", 1)] }, { signal: abort.signal });
    const stopped = tv.sync({ upserts: [pattern("b", 1)] });
    await tv.enqueue({ upserts: [pattern("c", 1)] });
    abort.abort(new Error("changed my mind"));
    await expect(aborted).rejects.toThrow("changed my mind");
    const outcome = expect(stopped).rejects.toMatchObject({ reason: "client.stopped" });
    await tv.stop();
    await outcome;
    await expect(tv.enqueue({ upserts: [pattern("d", 1)] })).rejects.toMatchObject({
      reason: "client.stopped",
    });
    await broker(port);
    const again = client({ endpoints, dataDir: dir.path });
    await again.start();
    expect(again.pending).toBe(3);
    await waitFor(() => again.pending === 0);
    expect([...model.registers.keys()].sort()).toEqual(["a", "b", "c"]);
  });

  it("P5, P6: a restarted device keeps its release, its epoch and its beliefs", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url, dataDir: dir.path });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    model.release(4_000);
    await gateway.publish();
    await waitFor(() => tv.version === 1 && tv.believedRegisters().size === 1);
    const believed = tv.believedRegisters();
    await tv.stop();
    const again = client({ endpoints: gateway.url, dataDir: dir.path });
    await again.start();
    expect(again.version).toBe(1);
    expect(again.contentHash).toEqual(model.contentHash);
    expect(again.believedRegisters()).toEqual(believed);
    await again.sync({ upserts: [pattern("a", 1, 99)] });
    expect(model.registers.get("a")).toMatchObject({ seq: 2, weight: 99 });
    expect(model.problems).toEqual([]);
  });

  it("shouldSync waits for the interval and for something to say", async () => {
    let monotonicMs = 0;
    const clock = {
      nowMs: () => 0,
      monotonicMs: () => monotonicMs,
      after: () => ({ cancel: () => {} }),
    };
    const tv = client({ endpoints: "mqtt://127.0.0.1:1", clock });
    await tv.start();
    const nothing = { upserts: [] };
    expect(tv.shouldSync()).toBe(true);
    expect(tv.shouldSync(nothing)).toBe(false);
    expect(await tv.sync(nothing)).toEqual({ acked: true, positions: [] });
    expect(tv.shouldSync()).toBe(false);
    monotonicMs = 299_999;
    expect(tv.shouldSync()).toBe(false);
    monotonicMs = 300_000;
    expect(tv.shouldSync(nothing)).toBe(false);
    expect(tv.shouldSync({ upserts: [], removals: ["a"] })).toBe(true);
    await tv.enqueue({ upserts: [pattern("a", 1)] });
    expect(tv.shouldSync(nothing)).toBe(true);
  });
});

describe("codec 1 over a real broker", () => {
  it("says what it holds and reads before it subscribes", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url, codec: 1 });
    await tv.start();
    await waitFor(() => tv.phase === "live");
    expect(gateway.heard.slice(0, 2)).toEqual(["up", "omega/v1/default/d/tv-1/down"]);
    const [first] = gateway.frames;
    expect(first).toEqual(encodePull(0, { minor: 1 }));
  });

  it("fetches the model, shows previews, then the release, and has all of it after a restart", async () => {
    const gateway = await broker();
    const dataDir = join(dir.path, "tv");
    const tv = client({ endpoints: gateway.url, codec: 1, dataDir });
    const seen: string[] = [];
    tv.on("preview", ({ version, part, patterns, frameBytes }) => {
      seen.push(`preview ${version}.${part}`);
      expect(frameBytes).toBeGreaterThan(0);
      expect([...patterns.values()].every(({ embedding }) => embedding.length === DIM)).toBe(true);
    });
    tv.on("release", ({ version }) => seen.push(`release ${version}`));
    await tv.start();
    await waitFor(() => tv.phase === "live");
    model.learn(1);
    model.release(5_000);
    await gateway.publish();
    await waitFor(() => tv.version === 1);
    expect(seen.at(-1)).toBe("release 1");
    expect(seen).toContain("preview 1.1");
    expect(tv.contentHash).toEqual(model.contentHash);
    expect(tv.patterns.get("g10")?.embedding[0]).toBeCloseTo(5_000 / 16_384, 2);
    await waitFor(() => readdirSync(dataDir).includes("model-1.bin"));
    await tv.stop();
    await gateway.close();
    const again = client({ endpoints: gateway.url, codec: 1, dataDir });
    await again.start();
    expect(again.version).toBe(1);
    expect(again.contentHash).toEqual(model.contentHash);
    expect(again.patterns.get("g10")?.embedding[0]).toBeCloseTo(5_000 / 16_384, 2);
  });

  it("codes deltas with the model and knows what the server makes of them", async () => {
    const gateway = await broker();
    const tv = client({ endpoints: gateway.url, codec: 1 });
    const budgets: number[] = [];
    tv.on("sent", ({ budgetBytes, bytes }) => {
      budgets.push(budgetBytes);
      expect(bytes).toBeLessThanOrEqual(budgetBytes);
    });
    await tv.start();
    model.learn(1);
    model.release(5_000);
    await gateway.publish();
    await waitFor(() => tv.version === 1);
    await tv.sync({ upserts: [pattern("a", 1), pattern("b", 2)] });
    await gateway.publish();
    await waitFor(() => tv.believedRegisters().size === 2);
    for (const [id, register] of tv.believedRegisters()) {
      expect(register.space).toBe(1);
      expect(model.registers.get(id)).toMatchObject({ ...register });
    }
    expect(budgets).toEqual([1_024]);
    expect(tv.stats).toMatchObject({ budgetBytes: 1_024, models: 1 });
    expect(tv.stats.sentNmse).toBeLessThan(0.01);
  });

  it("hostile bytes on a codec topic are an error event, on disk too, and nothing else", async () => {
    const gateway = await broker();
    model.learn(1);
    const good = model.modelFrames.get(1) ?? new Uint8Array(0);
    model.modelFrames.set(1, good.with(30, (good[30] ?? 0) ^ 1));
    const dataDir = join(dir.path, "tv");
    const tv = client({ endpoints: gateway.url, codec: 1, dataDir });
    await tv.start();
    await waitFor(() => tv.phase === "live");
    const failed = next(tv, "error");
    model.release(5_000);
    await gateway.publish();
    expect(await failed).toMatchObject({ code: "Protocol", reason: "model.hash" });
    model.modelFrames.set(1, good);
    await gateway.publish();
    await waitFor(() => tv.version === 1);
    await tv.stop();
    writeFileSync(join(dataDir, "model-1.bin"), good.slice(0, 60));
    const again = client({ endpoints: gateway.url, codec: 1, dataDir });
    const rotten = next(again, "error");
    await again.start();
    expect(await rotten).toMatchObject({ code: "Protocol" });
    await waitFor(() => again.version === 1);
    expect(again.stats.models).toBe(1);
  });
});

describe("durability before the network", () => {
  it("P3: a frame leaves only after every record before it is durable", async () => {
    class SlowStorage extends MemoryStorage {
      undurable = 0;
      override async append(records: readonly Uint8Array[]): Promise<void> {
        this.undurable += 1;
        await new Promise((resolve) => setTimeout(resolve, 15));
        await super.append(records);
        this.undurable -= 1;
      }
    }
    const gateway = await broker();
    const storage = new SlowStorage();
    const undurableAtPublish: number[] = [];
    const openLink: OpenLink = async (options, handlers) => {
      const link = await openMqttLink(options, handlers);
      return {
        flow: () => link.flow(),
        close: () => link.close(),
        abort: () => link.abort(),
        fetchModel: (version) => link.fetchModel(version),
        publish(payload) {
          undurableAtPublish.push(storage.undurable);
          return link.publish(payload);
        },
      };
    };
    const tv = client({ endpoints: gateway.url, storage, openLink });
    await tv.start();
    await Promise.all(["a", "b", "c"].map((id) => tv.sync({ upserts: [pattern(id, 1)] })));
    expect(undurableAtPublish.length).toBeGreaterThan(0);
    expect(Math.max(...undurableAtPublish)).toBe(0);
  });
});

describe("link", () => {
  const linkOptions = (url: string) => ({
    url,
    key: KEY,
    username: "default/tv-1",
    password: undefined,
    tls: undefined,
    keepaliveS: 60,
    connectTimeoutMs: 2_000,
    loginTimeoutMs: 2_000,
    greeting: () => null,
    clock: systemClock,
    signal: new AbortController().signal,
  });

  it("delivers one message at a time and sends its PUBACK only after it was dealt with", async () => {
    const gateway = await broker();
    let dealtWith = 0;
    let busy = 0;
    const overlaps: number[] = [];
    const dealtWithAtAck: number[] = [];
    gateway.onAck = () => dealtWithAtAck.push(dealtWith);
    const link = await openMqttLink(linkOptions(gateway.url), {
      async message() {
        busy += 1;
        overlaps.push(busy);
        await new Promise((resolve) => setTimeout(resolve, 20));
        busy -= 1;
        dealtWith += 1;
      },
      closed() {},
    });
    closing.push(() => link.close());
    link.flow();
    await waitFor(() => dealtWith === 1); // The retained one, which may have come before the SUBACK.
    await Promise.all([gateway.publish(), gateway.publish(), gateway.publish()]);
    await waitFor(() => dealtWithAtAck.length === 4);
    expect(Math.max(...overlaps)).toBe(1);
    for (const [index, count] of dealtWithAtAck.entries()) {
      if (index > 0) expect(count).toBeGreaterThanOrEqual(index + 1);
    }
  });

  it("a codec model comes once, and its topic is given back", async () => {
    const gateway = await broker();
    model.learn(7);
    await gateway.publish();
    const got: string[] = [];
    const link = await openMqttLink(linkOptions(gateway.url), {
      async message(line, payload) {
        got.push(`${line} ${payload.byteLength}`);
      },
      closed() {},
    });
    closing.push(() => link.close());
    link.flow();
    link.fetchModel(7);
    link.fetchModel(8);
    const model7 = `model ${model.modelFrames.get(7)?.byteLength}`;
    await waitFor(() => got.includes(model7));
    await waitFor(() => gateway.heard.includes("omega/v1/default/codec/8"));
    await gateway.publish();
    link.fetchModel(7);
    await waitFor(() => got.filter((what) => what === model7).length === 2);
    expect(got.filter((what) => what.startsWith("model"))).toEqual([model7, model7]);
  });

  it("a refused subscription, a silent server and a closed port are told apart", async () => {
    const gateway = await broker();
    gateway.subscribing = false;
    const handlers = { message: () => Promise.resolve(), closed: () => {} };
    await expect(openMqttLink(linkOptions(gateway.url), handlers)).rejects.toMatchObject({
      reason: "connect.suback",
    });
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const options = { ...linkOptions(`mqtt://127.0.0.1:${port}`), loginTimeoutMs: 100 };
    await expect(openMqttLink(options, handlers)).rejects.toMatchObject({
      message: expect.stringMatching(/no CONNACK within 100 ms/),
    });
    const abort = new AbortController();
    const patient = { ...options, loginTimeoutMs: 60_000, signal: abort.signal };
    const aborted = openMqttLink(patient, handlers);
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ code: "Network" });
    await new Promise((resolve) => silent.close(resolve));
    await expect(openMqttLink(options, handlers)).rejects.toMatchObject({
      code: "Network",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it("a server that does not even take the connection costs a few seconds, not the patience for a login", async () => {
    // Its one thread sleeps, and its backlog is full: the kernel ignores whoever comes.
    const asleep = new Worker(
      `const { createServer } = require("node:net");
       const { parentPort } = require("node:worker_threads");
       const server = createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
         parentPort.postMessage(server.address().port);
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
       });`,
      { eval: true },
    );
    closing.push(async () => void (await asleep.terminate()));
    const [port] = (await once(asleep, "message")) as [number];
    const crowd = Array.from({ length: 4 }, () =>
      connectTcp(port, "127.0.0.1").on("error", () => {}),
    );
    closing.push(async () => {
      for (const socket of crowd) socket.destroy();
    });
    await waitFor(() => crowd.filter(({ connecting }) => !connecting).length === 2);
    const handlers = { message: () => Promise.resolve(), closed: () => {} };
    const options = { ...linkOptions(`mqtt://127.0.0.1:${port}`), loginTimeoutMs: 60_000 };
    await expect(
      openMqttLink({ ...options, connectTimeoutMs: 300 }, handlers),
    ).rejects.toMatchObject({ message: expect.stringMatching(/no TCP connection within 300 ms/) });
  });

  it("speaks MQTT over WebSocket", async () => {
    const gateway = await broker();
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    server.on("connection", (socket) => gateway.handle(createWebSocketStream(socket)));
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const tv = client({ endpoints: `ws://127.0.0.1:${port}/mqtt` });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    expect(model.registers.has("a")).toBe(true);
    await tv.stop();
    await new Promise((resolve) => server.close(resolve));
  });

  it("speaks TLS with a given authority and refuses an unknown one", async () => {
    const certs = makeCerts(dir.path);
    const gateway = await startBroker(model, KEY, 0, certs);
    closing.push(() => gateway.close());
    const ca = readFileSync(certs.caFile, "utf8");
    const handlers = { message: () => Promise.resolve(), closed: () => {} };
    const link = await openMqttLink({ ...linkOptions(gateway.url), tls: { ca } }, handlers);
    await link.close();
    await expect(openMqttLink(linkOptions(gateway.url), handlers)).rejects.toMatchObject({
      code: "Network",
      message: expect.stringMatching(/certificate/),
    });
  });
});

describe("a disk that fails", () => {
  /** Fails every write while `full`. */
  class FullStorage extends MemoryStorage implements OutboxStorage {
    full = false;
    override append(records: readonly Uint8Array[]): Promise<void> {
      return this.full ? Promise.reject(new Error("ENOSPC")) : super.append(records);
    }
    override rewrite(records: readonly Uint8Array[]): Promise<void> {
      return this.full ? Promise.reject(new Error("ENOSPC")) : super.rewrite(records);
    }
  }

  it("P3: refuses deltas it cannot keep, still takes releases, and recovers by itself", async () => {
    const gateway = await broker();
    const storage = new FullStorage();
    const tv = client({ endpoints: gateway.url, storage });
    await tv.start();
    await tv.sync({ upserts: [pattern("a", 1)] });
    storage.full = true;
    await expect(tv.sync({ upserts: [pattern("b", 1)] })).rejects.toThrow("ENOSPC");
    model.release(3_000);
    await gateway.publish();
    await waitFor(() => tv.version === 1);
    const sent = gateway.frames.length;
    await expect(tv.enqueue({ upserts: [pattern("c", 1)] })).rejects.toMatchObject({
      reason: "outbox.write",
    });
    expect(gateway.frames.length).toBe(sent);
    storage.full = false;
    await tv.sync({ upserts: [pattern("d", 1)] });
    expect([...model.registers.keys()]).toEqual(["a", "d"]);
  });

  it("P3: whichever write is the last, what enqueue promised is found again", async () => {
    for (let writes = 1; writes < 12; writes += 1) {
      const storage = new FullStorage();
      let left = writes;
      const append = storage.append.bind(storage);
      storage.append = (records) => {
        left -= 1;
        if (left < 0) storage.full = true;
        return append(records);
      };
      const tv = client({ endpoints: "mqtt://127.0.0.1:1", storage });
      await tv.start();
      const promised: string[] = [];
      for (let index = 0; index < 6; index += 1) {
        const id = `p${index % 4}`;
        await tv.enqueue({ upserts: [pattern(id, index)] }).then(
          () => promised.push(id),
          () => {},
        );
      }
      await tv.stop();
      storage.full = false;
      storage.append = append;
      const again = client({ endpoints: "mqtt://127.0.0.1:1", storage });
      await again.start();
      expect(again.pending).toBe(new Set(promised).size);
      await again.stop();
    }
  });
});
