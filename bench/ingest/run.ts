/**
 * The rounds: every system in every scenario in turn, so that what slows the machine slows them all.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadMessage, LoadPlan, LoadResult } from "./load-main.ts";
import type { Options } from "./options.ts";
import { cpuUs, rssMiB, stop } from "./processes.ts";
import type { Row, Scenario } from "./report.ts";
import * as systems from "./systems.ts";

type Say = (line: string) => void;
/** A system that runs, and what it has acknowledged so far. */
interface Entrant {
  readonly system: systems.System;
  epoch: number;
  acked: number;
}

const LOAD = fileURLToPath(new URL("./load-main.js", import.meta.url));
const SHAPES: Readonly<Record<Scenario, Pick<LoadPlan, "connections" | "inFlight">>> = {
  "one-in-flight": { connections: 500, inFlight: 1 },
  pipelined: { connections: 50, inFlight: 16 },
  "aof-always": { connections: 500, inFlight: 1 },
  "open-loop": { connections: 500, inFlight: null },
};
const PACE = {
  full: { rounds: 3, warmupMs: 700, measureMs: 2_000 },
  quick: { rounds: 1, warmupMs: 500, measureMs: 1_500 },
} as const;

/** Every run of every round. Stops what it started, whatever happens. */
export async function runRounds(options: Options, say: Say): Promise<Row[]> {
  const pace = options.quick ? PACE.quick : PACE.full;
  const started: Entrant[] = [];
  try {
    await startAll(started, say);
    const rows: Row[] = [];
    // Round 0 is for engines and databases to get warm, and counts for nothing.
    for (let round = 0; round <= pace.rounds; round++) {
      for (const [scenario, entrants] of turns(started)) {
        for (const entrant of rotated(entrants, round)) {
          const row = await measure(scenario, entrant, { ...pace, ratePerS: options.ratePerS });
          say(
            `round ${round}/${pace.rounds}, ${scenario}, ${row.system}: ${row.ratePerS.toFixed(0)}/s`,
          );
          if (round > 0) rows.push(row);
        }
      }
    }
    return rows;
  } finally {
    await Promise.allSettled(started.map(({ system }) => system.stop()));
  }
}

/** Another one begins each round. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const from = by % list.length;
  return [...list.slice(from), ...list.slice(0, from)];
}

async function startAll(started: Entrant[], say: Say): Promise<void> {
  say("starting the systems");
  const add = (system: systems.System) => started.push({ system, epoch: 0, acked: 0 });
  add(await systems.startOurs("everysec"));
  add(await systems.startBare());
  const mosquitto = programPath("mosquitto");
  if (mosquitto === null)
    say("Mosquitto is left out: no mosquitto on PATH (apt-get install mosquitto)");
  else add(await systems.startMosquitto(mosquitto));
  add(await systems.startQueued("queue-add"));
  add(await systems.startQueued("fastify"));
  add(await systems.startRaw());
  add(await systems.startOurs("always"));
}

/** Who takes part in what. */
function turns(all: readonly Entrant[]): [Scenario, Entrant[]][] {
  const always = all.filter(({ system }) => system.name === "omega-sync, AOF always");
  const others = all.filter((entrant) => !always.includes(entrant));
  const open = others.filter(({ system }) =>
    ["omega-sync", "aedes, stores nothing"].includes(system.name),
  );
  return [
    ["one-in-flight", others],
    ["aof-always", always],
    ["pipelined", others],
    ["open-loop", open],
  ];
}

async function measure(
  scenario: Scenario,
  entrant: Entrant,
  pace: Pick<LoadPlan, "warmupMs" | "measureMs" | "ratePerS">,
): Promise<Row> {
  const { system } = entrant;
  entrant.epoch++;
  const plan: LoadPlan = {
    ...SHAPES[scenario],
    ...{ protocol: system.protocol, port: system.port, epoch: entrant.epoch },
    ...{ ratePerS: pace.ratePerS, warmupMs: pace.warmupMs, measureMs: pace.measureMs },
  };
  const generator = fork(LOAD, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  try {
    const ready = messageOf(generator, "ready");
    generator.send(plan);
    await ready;
    const beforeUs = cpuUs(system.pids);
    const finished = messageOf(generator, "result");
    generator.send("go");
    const { result } = await finished;
    entrant.acked += result.acked;
    const memoryMiB = rssMiB(system.pids);
    await system.settle(entrant.acked);
    const usedUs = cpuUs(system.pids) - beforeUs;
    return rowOf(scenario, system, result, usedUs, memoryMiB);
  } finally {
    await stop(generator);
  }
}

function rowOf(
  scenario: Scenario,
  system: systems.System,
  { ratePerS, ackMsP50, ackMsP99, acked }: LoadResult,
  usedUs: number,
  memoryMiB: number,
): Row {
  const cpuUsPerDelta = usedUs / acked;
  const figures = { ratePerS, ackMsP50, ackMsP99, cpuUsPerDelta, rssMiB: memoryMiB };
  return { scenario, system: system.name, ...figures };
}

/** The next message of this kind; rejects when the generator ends without it. */
function messageOf<Kind extends LoadMessage["kind"]>(
  generator: ChildProcess,
  kind: Kind,
): Promise<Extract<LoadMessage, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    generator.on("message", (message: LoadMessage) => {
      if (message.kind === kind) resolve(message as Extract<LoadMessage, { kind: Kind }>);
    });
    generator.once("exit", (code) => reject(new Error(`the load generator ended (exit ${code})`)));
  });
}

/** Where `name` is on PATH or in /usr/sbin, or null. */
function programPath(name: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  const files = folders.map((folder) => join(folder, name));
  return files.find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
