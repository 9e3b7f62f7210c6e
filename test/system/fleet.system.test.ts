/**
 * `omega-sync fleet` as a process against the product as processes: what it counted is what the store applied.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FleetResult } from "../../src/fleet/load/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { freePort } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { type Bench, MAIN, type OmegaProcess, openBench, settings } from "./bench.ts";

const SHARDS = 2;
const QUICK = ["--interval", "1s", "--connect-rate", "400", "--dim", "8", "--patterns", "2"];
const SETTINGS = settings({
  ...{ shards: SHARDS, "tenants.default.dim": 8, "gateway.drain.readyGraceMs": 0 },
  "releaser.cadenceMs": 1_000,
});

let bench: Bench;
let store: Store;
let server: OmegaProcess;
let port: number;
let httpPort: number;

const startServer = () =>
  bench.start([
    ...["start", "--redis", bench.redis.url, "--port", `${port}`, "--http-port", `${httpPort}`],
    ...SETTINGS,
  ]);

beforeAll(async () => {
  bench = await openBench({ redis: true });
  [port, httpPort] = [await freePort(), await freePort()];
  server = await startServer();
  store = await redisStore({ url: bench.redis.url, shards: SHARDS, log: silentLogger });
}, 120_000);
afterAll(async () => {
  await store?.close();
  await bench?.close();
});

const fleetArgs = (args: readonly string[]) => [
  ...["fleet", `mqtt://127.0.0.1:${port}`, "--json", ...QUICK, ...args],
];

async function fleet(
  args: readonly string[],
): Promise<{ code: number | string; result: FleetResult }> {
  const { code, stdout, stderr } = await bench.omega(fleetArgs(args));
  expect(stdout, stderr).toMatch(/^\{.*\}\n$/);
  return { code, result: JSON.parse(stdout) };
}

/** What all shards have applied, refused and recognised as sent before. */
async function stored() {
  const shards = await Promise.all([store.stats(0), store.stats(1)]);
  const sum = (name: keyof (typeof shards)[0]) =>
    shards.reduce((all, stats) => all + stats[name], 0);
  return {
    ...{ applied: sum("applied"), duplicates: sum("duplicates"), dead: sum("deadLettered") },
  };
}

/** Runs `work` and expects that the store then applied each acked delta once, and refused none. */
async function appliedOnce(work: () => Promise<FleetResult>): Promise<FleetResult> {
  const before = await stored();
  const result = await work();
  const applied = async () => (await stored()).applied - before.applied;
  await waitFor(async () => (await applied()) >= result.counts.acked, { what: "all applied" });
  expect(await applied()).toBe(result.counts.acked);
  expect((await stored()).dead).toBe(before.dead);
  return result;
}

describe("omega-sync fleet", () => {
  it("200 devices in two processes: every delta is acknowledged and applied once, the thresholds hold", async () => {
    const report = join(bench.dir.path, "fleet.html");
    const result = await appliedOnce(async () => {
      const { code, result } = await fleet([
        ...["--devices", "200", "--duration", "4s", "--processes", "2", "--report", report],
        ...["--threshold", "lost=0", "--threshold", "errors=0", "--threshold", "acked_per_s>20"],
        ...["--metrics", `http://127.0.0.1:${httpPort}/metrics`],
      ]);
      expect(code).toBe(0);
      return result;
    });
    expect(result.counts).toMatchObject({ connects: 200, refused: 0, wrongAnswers: 0 });
    expect(result.counts.offered).toBe(result.counts.acked);
    expect(result.counts.acked).toBeGreaterThan(600);
    expect(result.generator.processes).toBe(2);
    expect(result.thresholds.map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(result.moments.some(({ queueDepth }) => queueDepth !== null)).toBe(true);
    expect(readFileSync(report, "utf8")).toContain('aria-label="Queue depth"');
  }, 60_000);

  it("a broken threshold ends in 1, and the result says which", async () => {
    const result = await appliedOnce(async () => {
      const args = ["--threshold", "ack_p99>3600000", "--threshold", "lost=0"];
      const { code, result } = await fleet(["--devices", "20", "--duration", "2s", ...args]);
      expect(code).toBe(1);
      return result;
    });
    expect(result.thresholds.map(({ ok }) => ok)).toEqual([false, true]);
  }, 60_000);

  it("a server that stands still for a second does not slow the load, and the latency shows it", async () => {
    const result = await appliedOnce(async () => {
      const running = bench.run(process.execPath, [
        ...[MAIN, ...fleetArgs(["--devices", "200", "--duration", "5s"])],
      ]);
      await waitFor(() => / connected 200 /.test(running.stderr()), { what: "200 devices" });
      const { pid } = server.running;
      process.kill(pid, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      process.kill(pid, "SIGCONT");
      expect(await running.exited).toBe(0);
      return JSON.parse(running.stdout());
    });
    // Some delta was due when the stop began: it waited for all of it.
    expect(result.metrics.ack_max).toBeGreaterThan(1_300);
    // A whole second lay in the stop. It offered as much as another, and nothing came back.
    const still = result.moments.find(({ acked, offered }) => acked < offered / 4);
    expect(still?.waiting).toBeGreaterThan(50);
    expect(result.metrics.lost).toBe(0);
    expect(result.counts.disconnects).toBe(0);
  }, 60_000);

  it("rolling-restart: the server is told to end, comes back, and no delta is lost or applied twice", async () => {
    const result = await appliedOnce(async () => {
      const args = ["--devices", "60", "--duration", "8s", "--scenario", "rolling-restart"];
      const running = bench.run(process.execPath, [
        ...[MAIN, ...fleetArgs([...args, "--pid", `${server.running.pid}`])],
      ]);
      expect(await server.running.exited).toBe(0);
      server = await startServer();
      await running.exited;
      return JSON.parse(running.stdout());
    });
    expect(result.counts.disconnects).toBeGreaterThan(0);
    expect(result.counts.connects).toBeGreaterThan(60);
    expect(result.metrics.lost).toBe(0);
  }, 90_000);

  it("slow-redis: Redis runs again when the run is over, though it was ended in the middle of a pulse", async () => {
    const args = ["--devices", "20", "--duration", "9s", "--scenario", "slow-redis"];
    const running = bench.run(process.execPath, [
      ...[MAIN, ...fleetArgs([...args, "--pid", `${bench.redis.pid()}`])],
    ]);
    const stands = () => stateOf(bench.redis.pid()) === "T";
    await waitFor(stands, { what: "Redis to stand still", everyMs: 5 });
    running.child.kill("SIGINT");
    expect(await running.exited).toBe(0);
    expect(JSON.parse(running.stdout())).toMatchObject({ interrupted: true });
    expect(stands()).toBe(false);
    await waitFor(async () => (await stored()).applied > 0, { what: "Redis to answer" });
  }, 60_000);
});

/** The state letter of a process, proc(5). */
function stateOf(pid: number): string {
  return /^\d+ \(.*\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
}
