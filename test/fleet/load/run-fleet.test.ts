/**
 * Small fleets against a real gateway whose queue is the test's: what was counted is what arrived.
 */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/index.ts";
import { type FleetResult, type LoadPlan, runFleet } from "../../../src/fleet/load/index.ts";
import type { FleetOptions } from "../../../src/fleet/load/run-fleet.ts";
import type { QueueEntry } from "../../../src/queue/index.ts";
import { peekFrame } from "../../../src/wire/index.ts";
import { type Fixture, startGateway, stopGateways } from "../../gateway/uplink/fixture.ts";
import { type Certs, makeCerts } from "../../support/certs.ts";
import { type TempDir, tempDir } from "../../support/disk.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const SECRET = "a secret of at least thirty-two bytes";

let dir: TempDir;
let certs: Certs;
beforeAll(() => {
  dir = tempDir("omega-fleet-");
  certs = makeCerts(dir.path);
});
afterAll(() => dir.remove());
afterEach(stopGateways);

const target = (port: number, protocol: LoadPlan["target"]["protocol"] = "mqtt") => ({
  ...{ protocol, host: "127.0.0.1", port, path: "/mqtt" },
  ca: protocol === "mqtts" ? readFileSync(certs.caFile, "utf8") : null,
});

function fleet(
  plan: Partial<LoadPlan> & Pick<LoadPlan, "target">,
  options: Partial<FleetOptions> = {},
): Promise<FleetResult> {
  return runFleet({
    plan: {
      ...{ tenant: "default", devices: 40, durationMs: 1_500, connectRate: 400, intervalMs: 300 },
      ...{ jitter: 0.5, churnPerMinute: 0, network: "none", scenario: "steady", secret: null },
      ...{ dim: 8, patterns: 2, frameBytes: 256, seed: 7, epoch: 1_800_000_000_000 },
      ...plan,
    },
    ...{ processes: 1, pids: [], metricsUrls: [], thresholds: [], clock: systemClock },
    onMoment: () => {},
    signal: new AbortController().signal,
    ...options,
  });
}

/** The deltas that the queue was given, by device and seq, each with the distinct bytes it came in. */
function deltasOf(entries: readonly QueueEntry[]): Map<string, Map<number, Set<string>>> {
  const devices = new Map<string, Map<number, Set<string>>>();
  for (const { key, frame } of entries) {
    const { header } = peekFrame(frame, 65_536);
    if (header.kind !== "delta") throw new Error(`a ${header.kind} in the queue`);
    const seqs = devices.get(key.device) ?? new Map<number, Set<string>>();
    const bytes = seqs.get(header.seq) ?? new Set();
    devices.set(key.device, seqs.set(header.seq, bytes.add(Buffer.from(frame).toString("hex"))));
  }
  return devices;
}

const distinct = (devices: ReturnType<typeof deltasOf>) =>
  [...devices.values()].reduce((sum, seqs) => sum + seqs.size, 0);

/** Every device's seqs are 1, 2, 3 … and each was only ever sent in one form. */
function expectValid(devices: ReturnType<typeof deltasOf>): void {
  for (const seqs of devices.values()) {
    expect([...seqs.keys()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: seqs.size }, (_, index) => index + 1),
    );
    expect([...seqs.values()].filter((bytes) => bytes.size !== 1)).toEqual([]);
  }
}

function expectAllArrived(result: FleetResult, { producer }: Fixture): void {
  const devices = deltasOf(producer.added);
  expectValid(devices);
  expect(result.counts.offered).toBeGreaterThan(50);
  expect(result.metrics).toMatchObject({ lost: 0 });
  expect(distinct(devices)).toBe(result.counts.acked);
  expect(result.counts.acked).toBe(result.counts.offered);
  expect(result.ackMs.count).toBe(result.counts.acked);
  const acked = result.moments.reduce((sum, moment) => sum + moment.acked, 0);
  expect(acked, "the seconds add up to the whole").toBe(result.counts.acked);
}

describe("a fleet", () => {
  it("pushes what the schedule says, each delta arrives once, and the counts say so", async () => {
    const gateway = await startGateway();
    const result = await fleet({ target: target(gateway.port) });
    expectAllArrived(result, gateway);
    expect(gateway.producer.added).toHaveLength(result.counts.acked);
    expect(deltasOf(gateway.producer.added).size).toBe(40);
    expect(result.counts).toMatchObject({ connects: 40, wrongAnswers: 0, resent: 0 });
    expect(result.metrics.errors).toBe(0);
    expect(result.counts.downFrames, "each has heard its retained frame").toBeGreaterThanOrEqual(
      40,
    );
    expect(result.moments.at(-2)?.versions).toEqual([[0, 40]]);
  });

  it("the load does not wait for the server: deltas keep coming due while no add returns", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const stopping = new AbortController();
    const seen: { offered: number; acked: number }[] = [];
    const result = await fleet(
      { target: target(port), durationMs: 2_500 },
      {
        signal: stopping.signal,
        onMoment: (moment) => {
          seen.push(moment);
          // The queue comes back once two whole seconds of load stand before it.
          if (moment.second === 2) {
            producer.answer = (add) => add.resolve();
            producer.releaseAll();
          }
        },
      },
    );
    expect(seen[0]?.acked).toBe(0);
    expect(seen[0]?.offered).toBeGreaterThan(20);
    expect(seen[1]?.offered).toBeGreaterThan(50);
    expect(result.metrics.lost).toBe(0);
    // What was due in the first second cannot have been acknowledged in less than the wait.
    expect(result.ackMs.max).toBeGreaterThan(1_000);
    expect(result.ackMs.p50).toBeGreaterThan(100);
  });

  it("reconnect-storm: all come back, and what was unacknowledged goes again byte for byte", async () => {
    const gateway = await startGateway();
    const { producer } = gateway;
    // Slow adds, so that some are always in flight when the connections are cut.
    producer.answer = (add) => {
      setTimeout(() => add.resolve(), 150);
    };
    const result = await fleet({
      ...{ target: target(gateway.port), scenario: "reconnect-storm", durationMs: 2_000 },
    });
    expectAllArrived(result, gateway);
    expect(result.counts).toMatchObject({ cuts: 40, connects: 80 });
    expect(result.metrics.errors, "what the run does itself is no error").toBe(0);
    expect(result.counts.resent).toBeGreaterThan(0);
  });

  it("churn: devices leave in peace and return, which is neither an error nor a loss", async () => {
    const gateway = await startGateway();
    const result = await fleet({
      ...{ target: target(gateway.port), churnPerMinute: 1, devices: 150, intervalMs: 1_000 },
      durationMs: 6_000,
    });
    expectAllArrived(result, gateway);
    expect(result.counts.connects).toBeGreaterThan(150);
    expect(result.counts.disconnects).toBe(0);
    const steady = result.moments.filter(({ second }) => second > 1 && second < 6);
    expect(Math.min(...steady.map(({ connected }) => connected))).toBeLessThan(150);
  });

  it("evening-peak offers twice the deltas of a steady run, and most of them in the middle", async () => {
    const { port } = await startGateway();
    const plan = { target: target(port), durationMs: 4_000 };
    const steady = (plan.durationMs / 300) * 40;
    const { counts, moments } = await fleet({ ...plan, scenario: "evening-peak" });
    expect(counts.offered).toBeGreaterThan(1.6 * steady);
    expect(counts.offered).toBeLessThan(2.4 * steady);
    const offered = moments.map((moment) => moment.offered);
    const middle = (offered[1] ?? 0) + (offered[2] ?? 0);
    expect(middle).toBeGreaterThan(counts.offered / 2);
  });

  it("a bad network delays, stalls and cuts, and nothing is lost or out of order for it", async () => {
    const gateway = await startGateway();
    const result = await fleet({
      ...{ target: target(gateway.port), network: "flaky", durationMs: 3_000, devices: 30 },
    });
    expectAllArrived(result, gateway);
    expect(result.ackMs.p50).toBeGreaterThanOrEqual(60);
    expect(result.counts.wrongAnswers).toBe(0);
  }, 30_000);

  it("logs in with the password derived from the secret, and in one without it is let in by nobody", async () => {
    const { port } = await startGateway({ auth: { mode: "password", secret: SECRET } });
    const result = await fleet({ target: target(port), secret: SECRET, devices: 5 });
    expect(result.counts).toMatchObject({ connects: 5, loginsRefused: 0 });
    await expect(
      fleet({ target: target(port), devices: 2, durationMs: 300, intervalMs: 60_000 }),
    ).rejects.toMatchObject({ reason: "fleet.no-login" });
  }, 30_000);

  it("TLS: verified against the authority, and later handshakes resume the first one's session", async () => {
    const { gateway, producer } = await startGateway({
      listeners: { tls: { ...LOOPBACK, certFile: certs.certFile, keyFile: certs.keyFile } },
    });
    const port = gateway.addresses.tls?.port ?? 0;
    const plan = { target: target(port, "mqtts"), devices: 12, connectRate: 12 };
    const result = await fleet(plan);
    expect(result.counts).toMatchObject({ connects: 12, connectFailures: 0 });
    expect(result.tlsResumed).toBeGreaterThan(0);
    expect(producer.added).toHaveLength(result.counts.acked);
    expect(result.metrics.lost).toBe(0);
  });

  it("WebSocket: the same over ws", async () => {
    const { gateway, producer } = await startGateway({ listeners: { ws: LOOPBACK } });
    const port = gateway.addresses.ws?.port ?? 0;
    const result = await fleet({ target: target(port, "ws"), devices: 12 });
    expect(result.counts).toMatchObject({ connects: 12, connectFailures: 0 });
    expect(producer.added).toHaveLength(result.counts.acked);
    expect(result.metrics.lost).toBe(0);
  });

  it("a generator that is held up says that it is saturated and states no limit of the server", async () => {
    const { port } = await startGateway();
    const result = await fleet(
      { target: target(port) },
      {
        onMoment: () => {
          const untilMs = performance.now() + 200;
          while (performance.now() < untilMs);
        },
      },
    );
    expect(result.generator.saturated).toBe(true);
    expect(result.generator.scheduleLagMs.max).toBeGreaterThan(20);
    expect(result.serverLimitPerS).toBeNull();
    expect(result.serverLimitNote).toMatch(/saturated: no server limit/);
  });

  it("stopped early, it gives the result of the time it had", async () => {
    const { port } = await startGateway();
    const stopping = new AbortController();
    const result = await fleet(
      { target: target(port), durationMs: 600_000 },
      { signal: stopping.signal, onMoment: () => stopping.abort(new Error("enough")) },
    );
    expect(result.interrupted).toBe(true);
    expect(result.counts.acked).toBeGreaterThan(0);
    expect(result.moments.length).toBeLessThan(10);
  });

  it("nobody at the target is one clear error", async () => {
    const { port } = await startGateway();
    await stopGateways();
    await expect(fleet({ target: target(port) })).rejects.toMatchObject({
      ...{ code: "Network", reason: "fleet.unreachable" },
    });
  });
});
