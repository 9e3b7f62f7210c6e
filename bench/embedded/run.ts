/**
 * One server on its embedded database, two loads, and what they cost its event loop.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadMessage, LoadPlan, LoadResult } from "../ingest/load-main.ts";
import { loopDelayMs, metricsPage, sumOf } from "../support/page.ts";
import { cpuUs, firstLine, rssBytes, start, stop, until } from "../support/processes.ts";
import { atLeast, atMost, type Floor, type Row } from "../support/report.ts";
import type { Options } from "./options.ts";

interface Measured {
  readonly result: LoadResult;
  readonly delayMs: { readonly max: number; readonly p99: number };
  readonly cpuUsPerDelta: number;
  readonly rssMiB: number;
  /** Acknowledged and not applied; below 0: applied more often than acknowledged. */
  readonly missing: number;
}

interface Server {
  readonly pid: number;
  readonly port: number;
  readonly httpPort: number;
}

const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const LOAD = fileURLToPath(new URL("../ingest/load-main.js", import.meta.url));
const CONNECTIONS = 200;
const OPEN_LOOP_PER_S = 1_000;
const WARM_UP_MS = 5_000;
const RATE_PER_S_MIN = 1_000;
const STALL_MS_MAX = 50;
const SETTLE_MS_MAX = 120_000;

export async function measureEmbedded(
  { seconds }: Options,
  say: (line: string) => void,
): Promise<{ rows: Row[]; floors: Floor[] }> {
  const dir = mkdtempSync(join(tmpdir(), "omega-bench-embedded-"));
  say("starting omega-sync start on an embedded database");
  const child = startServer(dir);
  try {
    const server = await readyServer(child);
    const measureMs = seconds * 1_000;
    say(`${OPEN_LOOP_PER_S} deltas/s by the clock …`);
    const open = await measure(server, { epoch: 1, inFlight: null, measureMs }, 0);
    say("one in flight on each connection …");
    const closed = await measure(server, { epoch: 2, inFlight: 1, measureMs }, open.result.acked);
    const floors = [
      atLeast("one in flight: acknowledged", closed.result.ratePerS, RATE_PER_S_MIN, "1/s"),
      atMost("1,000/s: longest event-loop stall", open.delayMs.max, STALL_MS_MAX, "ms"),
      atMost("acknowledged and not applied", Math.max(0, closed.missing), 0, ""),
      atMost("applied twice", Math.max(0, -closed.missing), 0, ""),
    ];
    return { rows: [...rowsOf("1,000/s", open), ...rowsOf("one in flight", closed)], floors };
  } finally {
    await stop(child);
    rmSync(dir, { recursive: true, force: true });
  }
}

function startServer(dir: string): ChildProcess {
  const where = ["--data-dir", join(dir, "data"), "--port", "0", "--http-port", "0"];
  return start(process.execPath, [
    ...[CLI, "start", ...where, "--json", "--set", "log.level=error"],
  ]);
}

async function readyServer(child: ChildProcess): Promise<Server> {
  const line = await firstLine(child, (text) => text.includes('"ready"'));
  const { tcp, http } = JSON.parse(line);
  return { pid: child.pid ?? -1, port: tcp.port, httpPort: http.port };
}

/** One load from connect to the last delta applied; `before`: what was acknowledged earlier. */
async function measure(
  server: Server,
  load: Pick<LoadPlan, "epoch" | "inFlight" | "measureMs">,
  before: number,
): Promise<Measured> {
  const plan: LoadPlan = {
    ...{ protocol: "mqtt", port: server.port, connections: CONNECTIONS },
    ...{ ratePerS: OPEN_LOOP_PER_S, warmupMs: WARM_UP_MS, ...load },
  };
  const generator = fork(LOAD, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  try {
    const ready = heard(generator, "ready");
    generator.send(plan);
    await ready;
    const usedBeforeUs = cpuUs(server.pid);
    const finished = heard(generator, "result");
    generator.send("go");
    // The delays of the warm-up are asked for and forgotten: the next answer begins after them.
    setTimeout(() => void metricsPage(server.httpPort), WARM_UP_MS);
    const { result } = await finished;
    const delayMs = loopDelayMs(await metricsPage(server.httpPort));
    const missing = await settle(server, before + result.acked);
    const cpuUsPerDelta = (cpuUs(server.pid) - usedBeforeUs) / result.acked;
    return { result, delayMs, cpuUsPerDelta, rssMiB: rssBytes(server.pid) / 2 ** 20, missing };
  } finally {
    await stop(generator);
  }
}

/** Waits for the fold to be done with `acked` deltas; gives how many are missing. */
async function settle({ httpPort }: Server, acked: number): Promise<number> {
  let applied = 0;
  const done = async () => {
    applied = sumOf(await metricsPage(httpPort), "omega_aggregate_applied_total");
    return applied >= acked;
  };
  await until("every acked delta to be applied", done, SETTLE_MS_MAX).catch(() => {});
  return acked - applied;
}

function rowsOf(scenario: string, measured: Measured): Row[] {
  const { result, delayMs, cpuUsPerDelta, rssMiB } = measured;
  const row = (name: string, value: number, unit: string) => ({ scenario, name, value, unit });
  return [
    row("acknowledged per second", result.ratePerS, "1/s"),
    row("PUBACK p50", result.ackMsP50, "ms"),
    row("PUBACK p99", result.ackMsP99, "ms"),
    row("longest event-loop stall", delayMs.max, "ms"),
    row("event-loop stall p99", delayMs.p99, "ms"),
    row("CPU of the whole process per delta", cpuUsPerDelta, "µs"),
    row("RSS after it", rssMiB, "MiB"),
  ];
}

function heard<Kind extends LoadMessage["kind"]>(
  generator: ChildProcess,
  kind: Kind,
): Promise<Extract<LoadMessage, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    generator.on("message", (message: LoadMessage) => {
      if (message.kind === kind) resolve(message as Extract<LoadMessage, { kind: Kind }>);
    });
    generator.once("exit", (code) => reject(new Error(`the generator ended with ${code}`)));
  });
}
