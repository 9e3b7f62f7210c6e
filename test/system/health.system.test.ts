/**
 * What an orchestrator and Prometheus are told over HTTP by the built processes.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { ANY_PORTS, type Bench, EAGER, type OmegaProcess, openBench } from "./bench.ts";

const PATIENCE_MS = 60_000;

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ redis: true });
}, 120_000);
afterAll(() => bench?.close());

/** The rooms that have a metric on the page of `process`. */
async function roomsOf(process: OmegaProcess): Promise<string[]> {
  const { status, text } = await process.get("/metrics");
  expect(status).toBe(200);
  return [...new Set([...text.matchAll(/^# TYPE omega_([a-z]+)_/gm)].map(([, room]) => `${room}`))];
}

const statusOf = async (process: OmegaProcess, path: string) => (await process.get(path)).status;

describe("health", () => {
  it("health: start shows the metrics of every room on one page", async () => {
    const start = await bench.start(["start", "--redis", bench.redis.url, ...ANY_PORTS, ...EAGER]);
    expect((await roomsOf(start)).sort()).toEqual(["aggregate", "codec", "gateway", "queue"]);
    expect(await start.metric("omega_aggregate_shards_held")).toBe(4);
    const { text } = await start.get("/metrics");
    expect(text).toMatch(/^nodejs_eventloop_lag_max_seconds \d/m);
    expect(await start.metric("process_resident_memory_bytes")).toBeGreaterThan(0);
    expect(await start.terminate()).toBe(0);
  }, 120_000);

  it("health: an aggregator is alive but not ready while Redis is away, and ready again after it", async () => {
    const redis = ["--redis", bench.redis.url];
    const aggregator = await bench.start(["aggregator", ...redis, "--http-port", "0", ...EAGER]);
    expect(await aggregator.get("/readyz")).toEqual({ status: 200, text: '{"ready":true}\n' });
    expect((await roomsOf(aggregator)).sort()).toEqual(["aggregate", "codec", "queue"]);
    const becomes = (status: number) =>
      waitFor(async () => (await statusOf(aggregator, "/readyz")) === status, {
        what: `/readyz to answer ${status}`,
        timeoutMs: PATIENCE_MS,
      });
    await bench.redis.kill9();
    await becomes(503);
    expect((await aggregator.get("/readyz")).text).toContain("aggregator.tick-late");
    expect(await statusOf(aggregator, "/healthz")).toBe(200);
    await bench.redis.restart();
    await becomes(200);
    expect(await aggregator.terminate()).toBe(0);
  }, 180_000);
});
