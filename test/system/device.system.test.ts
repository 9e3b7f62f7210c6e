/**
 * `omega-sync device`: a TV on the command line, over TCP, TLS and WebSocket, against the real server.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/index.ts";
import { readHistoryFile } from "../../src/fleet/oracle/sinks.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { makeCerts } from "../support/certs.ts";
import { freePort } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { type Bench, EAGER, MAIN, type OmegaProcess, openBench, settings } from "./bench.ts";
import { allTransports, portOf, type Transport } from "./transports.ts";

const SHARDS = 4;
const PATTERNS = {
  upserts: [
    { id: "late-night-scifi", embedding: [0.5, 0, 0, 0, 0, 0, 0, 0.5], weight: 12, success: 0.8 },
    { id: "kids", embedding: [0, 0.25, 0, 0, 0, 0, 0, 0], weight: 3, samples: 40 },
  ],
  removals: ["never-said"],
};

let bench: Bench;
let server: OmegaProcess;
let store: Store;
let caFile: string;
let patterns: string;
beforeAll(async () => {
  bench = await openBench({ redis: true });
  const transports = allTransports(bench);
  caFile = transports.caFile;
  patterns = bench.file("patterns.json", JSON.stringify(PATTERNS));
  const redis = ["--redis", bench.redis.url, "--port", "0", "--http-port", "0"];
  const history = settings({ history: join(bench.dir.path, "server.jsonl") });
  server = await bench.start(["start", ...redis, ...EAGER, ...history, ...transports.args]);
  store = await redisStore({ url: bench.redis.url, shards: SHARDS, log: silentLogger });
}, 150_000);
afterAll(async () => {
  await store?.close();
  await bench?.close();
});

/** Runs the device to its end; `events` is what it printed with --json. */
async function device(args: readonly string[]) {
  const result = await bench.omega(["device", "--dim", "8", ...args, "--json"]);
  const lines = result.stdout.split("\n").filter(Boolean);
  const events = lines.map((line) => JSON.parse(line) as { event: string; phase?: string });
  return { ...result, events, names: events.map(({ event }) => event) };
}

describe("device --once", () => {
  it.each<[Transport, string]>([
    ["tcp", "mqtt://127.0.0.1:PORT"],
    ["tls", "mqtts://localhost:PORT"],
    ["ws", "ws://127.0.0.1:PORT/mqtt"],
  ])(
    "device: over %s a file of patterns is pushed, acked and applied, and the device ends",
    async (transport, url) => {
      const key = { tenant: "default", device: `tv-${transport}` };
      const endpoint = url.replace("PORT", `${portOf(server, transport)}`);
      const tls = transport === "tls" ? ["--ca-file", caFile] : [];
      const args = [
        "--id",
        key.device,
        "--endpoint",
        endpoint,
        "--push",
        patterns,
        "--once",
        ...tls,
      ];
      const { code, names, events, stderr } = await device(args);
      expect(code, stderr).toBe(0);
      expect(names.filter((name) => name === "sent")).toHaveLength(1);
      expect(names.filter((name) => name === "acked")).toHaveLength(1);
      expect(names).not.toContain("error");
      expect(events).toContainEqual({ event: "phase", phase: "live" });
      const cursor = await waitFor(async () => (await store.cursors([key]))[0], { what: "it" });
      expect(cursor).toMatchObject({ patterns: 2, epochs: [{ low: 1 }], problems: [] });
    },
    60_000,
  );

  it("device: the histories of device and server tell of one delta from its sending to its commit", async () => {
    const file = join(bench.dir.path, "device.jsonl");
    const endpoint = `mqtt://127.0.0.1:${server.mqttPort}`;
    const args = ["--id", "tv-told", "--endpoint", endpoint, "--push", patterns, "--once"];
    expect((await device([...args, "--history", file])).code).toBe(0);
    const said = readHistoryFile(file);
    expect(said.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["send", "acked"]));
    const sent = said.find(({ kind }) => kind === "send");
    const heard = await waitFor(
      () => {
        const events = readHistoryFile(join(bench.dir.path, "server.jsonl"));
        const own = events.filter((event) => JSON.stringify(event).includes("default/tv-told"));
        return own.some(({ kind }) => kind === "commit") ? own : null;
      },
      { what: "its commit" },
    );
    const [queued] = heard.filter(({ kind }) => kind === "enqueue");
    expect(queued).toMatchObject({ kind: "enqueue", hash: (sent as { hash: string }).hash });
    expect((queued?.atMs ?? 0) > (sent?.atMs ?? 0)).toBe(true);
  }, 60_000);

  it("device: the next run of another device prints the release that came of it", async () => {
    await waitFor(async () => (await store.currentRelease("default")) !== null, { what: "one" });
    const endpoint = `mqtt://127.0.0.1:${server.mqttPort}`;
    const { code, events } = await device(["--id", "tv-new", "--endpoint", endpoint, "--once"]);
    expect(code).toBe(0);
    expect(events.find(({ event }) => event === "release")).toMatchObject({ patterns: 2 });
    const dir = join(bench.dir.path, "outbox");
    const args = ["--id", "tv-kept", "--endpoint", endpoint, "--data-dir", dir, "--once"];
    for (let run = 1; run <= 2; run += 1) {
      expect((await device([...args, "--push", patterns])).code).toBe(0);
    }
    const key = { tenant: "default", device: "tv-kept" };
    // The same epoch over both runs: the outbox was read back.
    await waitFor(async () => (await store.cursors([key]))[0]?.epochs[0]?.low === 2, {
      what: "the second delta in the same epoch",
    });
    expect((await store.cursors([key]))[0]?.epochs).toHaveLength(1);
    expect((await store.stats(shardOf(key, SHARDS))).deadLettered).toBe(0);
  }, 60_000);
});

describe("device: what goes wrong ends it with the right code", () => {
  const once = (endpoint: string) => ["--id", "tv-x", "--endpoint", endpoint, "--once"];

  it("device: a server whose certificate the authority did not sign gets nothing", async () => {
    const port = portOf(server, "tls");
    const strange = bench.file("strange/x", "");
    const { caFile: strangeCa } = makeCerts(join(strange, ".."));
    for (const tls of [[], ["--ca-file", strangeCa]]) {
      const args = [...once(`mqtts://localhost:${port}`), "--push", patterns, ...tls];
      const { code, names, events } = await device([...args, "--seconds", "4"]);
      expect(code).toBe(69);
      expect(names).not.toContain("sent");
      expect(JSON.stringify(events)).toMatch(/certificate|self.signed|verify/i);
    }
  }, 60_000);

  it("device: nobody at the endpoint is 69, a file that is no JSON is 78", async () => {
    const nobody = await device([
      ...once(`mqtt://127.0.0.1:${await freePort()}`),
      "--seconds",
      "2",
    ]);
    expect(nobody.code).toBe(69);
    expect(nobody.stderr).toContain("device.once");
    const broken = bench.file("broken.json", "{");
    const endpoint = `mqtt://127.0.0.1:${server.mqttPort}`;
    expect((await device([...once(endpoint), "--push", broken])).code).toBe(78);
    expect(readFileSync(broken, "utf8")).toBe("{");
  }, 60_000);

  it("device: SIGTERM ends a device that would stay", async () => {
    const endpoint = `mqtt://127.0.0.1:${server.mqttPort}`;
    const args = ["device", "--id", "tv-stays", "--dim", "8", "--endpoint", endpoint];
    const running = bench.run(process.execPath, [MAIN, ...args]);
    await waitFor(() => running.stdout().includes("live"), { what: "it to be live" });
    running.child.kill("SIGTERM");
    expect(await running.exited).toBe(0);
  }, 60_000);
});
