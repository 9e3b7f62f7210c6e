/**
 * The demo as a user runs it: on each backend, on real ratings, and interrupted.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait.ts";
import { type Bench, MAIN, openBench } from "./bench.ts";

const DEVICES = 20;
const SECONDS = 10;
/** It waits a minute beyond its time before it calls something lost. */
const TIMEOUT_MS = 180_000;
const bytes = { p50: expect.any(Number), p95: expect.any(Number), max: expect.any(Number) };

let bench: Bench;
let postgres: PostgresServer;
beforeAll(async () => {
  bench = await openBench({ redis: true });
  postgres = await startPostgres();
}, 150_000);
afterAll(async () => {
  await postgres?.stop();
  await bench?.close();
});

/** Runs a demo with a temporary directory of its own, which it must leave empty. */
async function demo(name: string, args: readonly string[]) {
  const tmp = join(bench.dir.path, name);
  mkdirSync(tmp);
  const result = await bench.omega(["demo", ...args, "--json"], { env: { TMPDIR: tmp } });
  expect(readdirSync(tmp), "nothing is left behind").toEqual([]);
  return result;
}

describe.concurrent("demo: the verdict", () => {
  it.each(["embedded", "redis", "postgres"] as const)(
    "demo: on %s nothing is lost, all is applied once, all converge, over a killed gateway",
    async (backend) => {
      const urls = { embedded: "", redis: bench.redis.url, postgres: postgres.url };
      const where = backend === "embedded" ? [] : [`--${backend}`, urls[backend]];
      const size = ["--devices", `${DEVICES}`, "--seconds", `${SECONDS}`];
      const { code, stdout, stderr } = await demo(backend, [...size, ...where]);
      expect(stderr).toContain(`backend ${backend}`);
      expect(stdout.trim().split("\n"), stderr).toHaveLength(1);
      const result = JSON.parse(stdout);
      expect(result).toEqual({
        devices: DEVICES,
        acked: expect.any(Number),
        applied: result.acked,
        duplicates: expect.any(Number),
        deadLettered: 0,
        lost: 0,
        version: expect.any(Number),
        converged: DEVICES,
        pushBytes: bytes,
        pullBytes: bytes,
        ackMs: { p50: expect.any(Number), p99: expect.any(Number) },
        gatewayKills: 1,
        mismatches: 0,
        verdict: "ok",
      });
      expect(result.acked).toBeGreaterThanOrEqual(DEVICES);
      expect(result.version).toBeGreaterThan(0);
      expect(result.pushBytes.p50).toBeGreaterThan(0);
      expect(result.pushBytes.p50).toBeLessThanOrEqual(result.pushBytes.p95);
      expect(result.pushBytes.p95).toBeLessThanOrEqual(result.pushBytes.max);
      // P7: what the README promises of codec 1.
      expect(result.pushBytes.max).toBeLessThanOrEqual(1_024);
      expect(result.pullBytes.max).toBeLessThanOrEqual(5_120);
      expect(code, result.verdict).toBe(0);
    },
    TIMEOUT_MS,
  );

  it(
    "demo: a file of ratings is replayed, each user a TV",
    async () => {
      const users = 12;
      const file = bench.file("ratings.dat", ratings(users, 40));
      const args = ["--ratings", file, "--seconds", `${SECONDS}`];
      const { code, stdout } = await demo("replay", args);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ devices: users, converged: users, lost: 0, verdict: "ok" });
      expect(result.applied).toBe(result.acked);
      expect(code).toBe(0);
    },
    TIMEOUT_MS,
  );
});

describe("demo: what it cannot do", () => {
  it("demo: ratings that are none end in 78, numbers out of range in 2", async () => {
    const empty = await bench.omega(["demo", "--ratings", bench.file("empty.dat", "")]);
    expect(empty.code).toBe(78);
    const missing = await bench.omega(["demo", "--ratings", "/nowhere/ratings.dat"]);
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toContain("/nowhere/ratings.dat");
    expect((await bench.omega(["demo", "--devices", "0"])).code).toBe(2);
    expect((await bench.omega(["demo", "--seconds", "1"])).code).toBe(2);
  }, 60_000);

  it("demo: SIGINT ends it, and its gateway, and leaves no file", async () => {
    const tmp = join(bench.dir.path, "interrupted");
    mkdirSync(tmp);
    const args = [MAIN, "demo", "--devices", "5", "--seconds", "120", "--json"];
    const demo = bench.run(process.execPath, args, { env: { TMPDIR: tmp } });
    const children = await waitFor(
      () => {
        const pids = childrenOf(demo.pid);
        return readdirSync(tmp).length > 0 && pids.length > 0 ? pids : null;
      },
      { what: "its gateway", timeoutMs: 60_000 },
    );
    demo.child.kill("SIGINT");
    const code = await demo.exited;
    expect(code).not.toBe(0);
    expect(demo.stdout()).toBe("");
    expect(readdirSync(tmp)).toEqual([]);
    for (const pid of children) expect(existsSync(`/proc/${pid}`), `pid ${pid}`).toBe(false);
  }, 120_000);
});

/** `user::item::rating::unix time`, as in the MovieLens and MovieTweetings files. */
function ratings(users: number, each: number): string {
  const lines: string[] = [];
  for (let index = 0; index < users * each; index += 1) {
    const user = 1 + (index % users);
    const item = 1 + ((index * 7 + user) % 90);
    lines.push(`${user}::${item}::${1 + ((item * user) % 10)}::${1_362_000_000 + 3_600 * index}`);
  }
  return `${lines.join("\n")}\n`;
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
}
