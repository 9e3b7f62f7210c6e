/**
 * Strangers can talk to it: Mosquitto's clients, golden frames, and a decoder written from PROTOCOL.md alone.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limits, shardOf } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { topicOf } from "../../src/wire/index.ts";
import { waitFor } from "../support/wait.ts";
import { GOLDEN_DIR } from "../wire/golden-files.ts";
import { ANY_PORTS, type Bench, EAGER, type OmegaProcess, openBench, settings } from "./bench.ts";
import { hearOne, listen, type MosquittoLogin, publishFile } from "./mosquitto.ts";

const golden = (name: string) => fileURLToPath(new URL(`${name}.bin`, GOLDEN_DIR));
const ACCEPTABLE = golden("delta-acceptable-stored");
const REFUSED_FOR_ITS_NORM = golden("delta-absolute-stored");
const DECODER = fileURLToPath(new URL("../wire/stranger_decoder.py", import.meta.url));
const SHARDS = 4;

const TV_1 = { tenant: "default", device: "tv-1" };
const TV_2 = { tenant: "default", device: "tv-2" };
const ACME_TV_1 = { tenant: "acme", device: "tv-1" };

/** What the one pattern of the golden delta becomes when one device has said it. */
const RELEASED = {
  id: "00c0ffee00c0ffee",
  weight: 1023,
  devices: 1,
  vector: [5, 0, 0, 0],
  sum: 5 - 635,
};

let bench: Bench;
let store: Store;
beforeAll(async () => {
  bench = await openBench({ redis: true });
  store = await redisStore({ url: bench.redis.url, shards: SHARDS, log: silentLogger });
}, 120_000);
afterAll(async () => {
  await store?.close();
  await bench?.close();
});

/** What the stranger reads; `held` is the frame that brought it to its base. */
function read(frame: Uint8Array, held?: Uint8Array) {
  const args = held === undefined ? [] : ["--held", bench.file("held.bin", held)];
  const { stdout, stderr } = spawnSync("python3", [DECODER, ...args], { input: frame });
  expect(stderr.toString()).toBe("");
  return JSON.parse(stdout.toString());
}

describe("strangers on Redis", () => {
  let server: OmegaProcess;
  const login = (key: typeof TV_1): MosquittoLogin => ({ port: server.mqttPort, key });

  beforeAll(async () => {
    server = await bench.start(["start", "--redis", bench.redis.url, ...ANY_PORTS, ...EAGER]);
  }, 90_000);
  afterAll(() => server?.running.kill());

  it("stranger: a golden frame is acked, applied, and comes back as a retained release; others get nothing of it", async () => {
    const other = listen(bench, login(TV_2), [topicOf(TV_2, "down"), topicOf(TV_2, "err")]);
    const namesake = listen(bench, login(ACME_TV_1), [topicOf(ACME_TV_1, "down")]);
    // Each is told at once that there is no release yet: from here on both are subscribed.
    await waitFor(() => other.heard().length === 1 && namesake.heard().length === 1, {
      what: "both subscribers to hear their retained message",
      timeoutMs: 30_000,
    });
    for (const { heard } of [other, namesake]) {
      expect(heard()[0]).toMatchObject({ retain: true, qos: 1 });
      expect(read(heard()[0]?.payload as Uint8Array)).toMatchObject({ version: 0, patterns: [] });
    }

    expect(await publishFile(login(TV_1), ACCEPTABLE)).toMatchObject({ code: 0, stderr: "" });

    await waitFor(async () => (await store.cursors([TV_1]))[0], { what: "the delta's cursor" });
    const [cursor] = await store.cursors([TV_1]);
    expect(cursor).toMatchObject({ patterns: 1, problems: [], base: 0 });
    expect(cursor?.epochs).toMatchObject([{ epoch: 9_000_001, low: 1 }]);
    expect(await store.stats(shardOf(TV_1, SHARDS))).toMatchObject({ applied: 1, deadLettered: 0 });

    await waitFor(() => other.heard().length === 2, { what: "the release", timeoutMs: 30_000 });
    const down = await hearOne(login(TV_1));
    expect(down).toMatchObject({ code: 0, heard: { topic: topicOf(TV_1, "down"), retain: true } });
    expect(read(down.heard?.payload as Uint8Array)).toMatchObject({
      version: 1,
      applied: [9_000_001, 1],
      patterns: [RELEASED],
      contentHashOk: true,
    });

    // The release is everybody's, the delta and its watermark are not.
    const [first, second] = other.heard();
    expect(second).toMatchObject({ topic: topicOf(TV_2, "down"), retain: false });
    const told = read(second?.payload as Uint8Array, first?.payload as Uint8Array);
    expect(told).toMatchObject({ version: 1, applied: null, patterns: [RELEASED] });
    expect(namesake.heard()).toHaveLength(1);

    // The namesake still listens: its own tenant's release is the next thing it hears.
    const acmeTv2 = { tenant: "acme", device: "tv-2" };
    expect((await publishFile(login(acmeTv2), ACCEPTABLE)).code).toBe(0);
    await waitFor(() => namesake.heard().length === 2, { what: "acme's", timeoutMs: 30_000 });
    const [none, own] = namesake.heard().map(({ payload }) => payload);
    expect(read(own as Uint8Array, none)).toMatchObject({ version: 1, patterns: [RELEASED] });
    expect(other.heard().map(({ topic }) => topic)).toEqual(Array(2).fill(topicOf(TV_2, "down")));
    await Promise.all([other.running.kill("SIGTERM"), namesake.running.kill("SIGTERM")]);
  }, 120_000);

  it("stranger: the same frame again is acked again and applied no second time (P2)", async () => {
    const key = { tenant: "default", device: "tv-again" };
    const shard = shardOf(key, SHARDS);
    const before = await store.stats(shard);
    for (let time = 0; time < 3; time += 1) {
      expect((await publishFile(login(key), ACCEPTABLE)).code).toBe(0);
    }
    await waitFor(async () => (await store.stats(shard)).duplicates === before.duplicates + 2, {
      what: "two duplicates",
    });
    expect((await store.stats(shard)).applied).toBe(before.applied + 1);
  }, 60_000);

  it("stranger: a frame that must be refused is acked, and its reason is on the err topic", async () => {
    const key = { tenant: "default", device: "tv-loud" };
    expect((await publishFile(login(key), REFUSED_FOR_ITS_NORM)).code).toBe(0);
    await waitFor(async () => (await store.cursors([key]))[0]?.problems.length, { what: "it" });
    const { heard } = await hearOne(login(key), [topicOf(key, "err")]);
    expect(heard).toMatchObject({ topic: topicOf(key, "err"), qos: 1 });
    const decoded = await bench.omega(["frame", "decode", "--json", "-"], {
      input: heard?.payload as Uint8Array,
    });
    expect(decoded.code, decoded.stderr).toBe(0);
    expect(decoded.stdout).toContain('"reason":"pattern.norm"');
    expect(JSON.parse(decoded.stdout)).toMatchObject({ header: { kind: "refusal" } });
  }, 60_000);

  it.each([
    topicOf(TV_1, "down"),
    topicOf(TV_1, "up"),
    topicOf(ACME_TV_1, "down"),
    "omega/v1/default/d/+/down",
    "#",
    "$SYS/#",
  ])("stranger: SUBSCRIBE to the foreign %s gets 0x80", async (topic) => {
    const { stderr, heard } = await hearOne(login(TV_2), [topic]);
    expect(heard).toBeNull();
    expect(stderr).toContain("All subscription requests were denied");
  });

  it("stranger: beside a refused filter the device's own still works", async () => {
    const topics = [topicOf(TV_1, "down"), topicOf(TV_2, "down")];
    const { heard } = await hearOne(login(TV_2), topics);
    expect(heard?.topic).toBe(topicOf(TV_2, "down"));
  });

  it.each([
    [topicOf(TV_1, "up"), 1],
    [topicOf(ACME_TV_1, "up"), 1],
    [topicOf(TV_2, "down"), 1],
    ["$SYS/broker/uptime", 1],
    [topicOf(TV_2, "up"), 2],
  ])("stranger: a publish to %s with QoS %i is closed without PUBACK", async (topic, qos) => {
    const result = await publishFile(login(TV_2), ACCEPTABLE, { topic, qos });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain("connection was lost");
  });

  it("stranger: a user name that is not the client id is refused", async () => {
    const args = ["-u", "default/tv-9"];
    const result = await publishFile({ ...login(TV_2), args }, ACCEPTABLE);
    expect(result.code).toBe(5);
  });

  it("stranger: nothing of all that reached the store", async () => {
    expect(await store.cursors([TV_2, ACME_TV_1])).toEqual([null, null]);
  });
});

describe.each(["password", "jwt"] as const)("strangers with %s", (mode) => {
  const key = { tenant: "acme", device: `tv-${mode}` };
  let server: OmegaProcess;
  let secretFile: string;

  beforeAll(async () => {
    secretFile = bench.file(`${mode}.secret`, `${randomBytes(32).toString("hex")}\n`);
    const auth = settings({ "gateway.auth.mode": mode, "gateway.auth.secretFile": secretFile });
    const redis = ["--redis", bench.redis.url];
    server = await bench.start(["start", ...redis, ...ANY_PORTS, ...EAGER, ...auth]);
  }, 90_000);
  afterAll(() => server?.running.kill());

  async function token(device: string): Promise<string> {
    const names = ["--device", device, "--tenant", "acme", "--mode", mode];
    const { code, stdout } = await bench.omega(["token", ...names, "--secret-file", secretFile]);
    expect(code).toBe(0);
    return stdout.trim();
  }

  it("stranger: what omega-sync token prints lets mosquitto_pub and mosquitto_sub in", async () => {
    const login = { port: server.mqttPort, key, password: await token(key.device) };
    expect(await publishFile(login, ACCEPTABLE)).toMatchObject({ code: 0, stderr: "" });
    const applied = await waitFor(async () => (await store.cursors([key]))[0], { what: "it" });
    expect(applied.epochs).toMatchObject([{ epoch: 9_000_001, low: 1 }]);
    const { heard } = await hearOne(login);
    expect(heard?.payload.length).toBeLessThanOrEqual(limits.DOWN_FRAME_BYTES_MAX);
    expect(read(heard?.payload as Uint8Array)).toMatchObject({ applied: [9_000_001, 1] });
  }, 60_000);

  it("stranger: another device's token, a wrong one and none are refused", async () => {
    for (const password of [await token("tv-other"), "wrong", undefined]) {
      const login = { port: server.mqttPort, key, ...(password ? { password } : {}) };
      const result = await publishFile(login, ACCEPTABLE);
      // MQTT 3.1.1 §3.2.2.3: 4 bad user name or password, 5 not authorised.
      expect([4, 5]).toContain(result.code);
    }
  }, 60_000);
});

it("stranger: the same on the embedded database, with nothing else installed", async () => {
  const server = await bench.start(["start", ...ANY_PORTS, ...EAGER]);
  expect(server.ready.backend).toBe("embedded");
  const login = { port: server.mqttPort, key: TV_1 };
  expect(await publishFile(login, ACCEPTABLE)).toMatchObject({ code: 0, stderr: "" });
  const other = listen(bench, { ...login, key: TV_2 }, [topicOf(TV_2, "down")]);
  await waitFor(async () => (await server.metric("omega_aggregate_applied_total")) === 1, {
    what: "the delta to be applied",
    timeoutMs: 30_000,
  });
  const payload = await waitFor(
    async () => {
      const { heard } = await hearOne(login);
      return read(heard?.payload as Uint8Array).version === 1 ? heard?.payload : null;
    },
    { what: "version 1", timeoutMs: 30_000 },
  );
  expect(read(payload)).toMatchObject({ applied: [9_000_001, 1], patterns: [RELEASED] });
  await waitFor(() => other.heard().length > 0, { what: "tv-2's release", timeoutMs: 30_000 });
  for (const { topic } of other.heard()) expect(topic).toBe(topicOf(TV_2, "down"));
  await other.running.kill("SIGTERM");
  expect(await server.terminate()).toBe(0);
}, 120_000);
