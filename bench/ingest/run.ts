/**
 * The rounds: every system in every scenario in turn, so that what slows the machine slows them all.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { watchOthers } from "../support/machine.ts";
import { cpuUs, firstMessage, rssBytes, start, stop, WITH_IPC } from "../support/processes.ts";
import type { LoadMessage, LoadPlan, LoadResult } from "./load-main.ts";
import type { Options } from "./options.ts";
import {
  isGeneratorLimited,
  type Row,
  type Run,
  type Scenario,
  type SystemName,
} from "./report.ts";
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
  durability: { connections: 500, inFlight: 1 },
  "open-loop": { connections: 500, inFlight: null },
};
/**
 * Round 0 only warms up, every system alike: an engine goes on compiling for 100,000 deltas, in which
 * a gateway's cost falls by a third. A quick run does not wait for that.
 */
const PACE = {
  full: { rounds: 3, roundZeroMs: 4_000, warmupMs: 700, measureMs: 2_000 },
  quick: { rounds: 1, roundZeroMs: 700, warmupMs: 500, measureMs: 1_500 },
} as const;
/** At a given rate an engine sees few deltas, and it is the hundredth longest wait that counts. */
const OPEN_LOOP = { warmupMs: 4_000, measureMs: 5_000 } as const;
/**
 * A rate that devices see while the fold is put off is none of the whole pipeline: where the machine is
 * full, the aggregator gives way to nobody.
 */
const KEEPS_UP = ["aggregator.niceness=0"];
const CONNECT_MS_MAX = 40_000;
const ROUND_ZERO_WARM_UP_MS = 300;
/** After the measured time: the last answers, and the report. */
const LAST_MS_MAX = 30_000;
const MIB = 1024 ** 2;

const BESIDE: readonly SystemName[] = [
  "omega-sync",
  "aedes, stores nothing",
  "Mosquitto, stores nothing",
  "omega-sync, no fold",
  "aedes + Queue.add",
  "Fastify + Queue.add",
  "raw Redis RPUSH",
];
/** Who takes part in what; those of one ratio stand next to one another. */
const PARTICIPANTS: Readonly<Record<Scenario, readonly SystemName[]>> = {
  "one-in-flight": BESIDE,
  "aof-always": ["omega-sync", "omega-sync, AOF always"],
  durability: ["omega-sync, AOF always", "omega-sync, memory", "omega-sync, replicated"],
  pipelined: BESIDE,
  "open-loop": ["omega-sync, as shipped", "omega-sync", "aedes, stores nothing"],
};

/** Every run of every round. Stops what it started, whatever happens. */
export async function runRounds(options: Options, say: Say): Promise<Run[]> {
  const pace = options.quick ? PACE.quick : PACE.full;
  const warm = { warmupMs: ROUND_ZERO_WARM_UP_MS, measureMs: pace.roundZeroMs };
  const started: Entrant[] = [];
  try {
    await startAll(options.scenarios, started, say);
    const runs: Run[] = [];
    // Round 0 is for engines and databases to get warm, and counts for nothing.
    for (let round = 0; round <= pace.rounds; round++) {
      for (const scenario of options.scenarios) {
        const names = PARTICIPANTS[scenario];
        const entrants = started.filter(({ system }) => names.includes(system.name));
        for (const entrant of rotated(entrants, round)) {
          const measured = scenario === "open-loop" ? OPEN_LOOP : pace;
          const times = round === 0 ? warm : measured;
          const row = await measure(scenario, entrant, { ...times, ratePerS: options.ratePerS });
          say(`round ${round}/${pace.rounds}, ${scenario}, ${lineOf(row)}`);
          if (round > 0) runs.push({ ...row, round });
        }
      }
    }
    return runs;
  } finally {
    await Promise.allSettled(started.map(({ system }) => system.stop()));
  }
}

function lineOf({ system, ratePerS, cpuUsPerDelta, generatorBusy }: Row): string {
  const figures = [`${ratePerS.toFixed(0)}/s`, `${cpuUsPerDelta.toFixed(0)} µs`];
  return `${system}: ${figures.join(", ")}, generator ${generatorBusy.toFixed(2)}`;
}

/** Another one begins each round. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const from = by % list.length;
  return [...list.slice(from), ...list.slice(0, from)];
}

async function startAll(
  scenarios: readonly Scenario[],
  started: Entrant[],
  say: Say,
): Promise<void> {
  say("starting the systems");
  const wanted = new Set(scenarios.flatMap((scenario) => PARTICIPANTS[scenario]));
  for (const name of wanted) {
    const system = await startSystem(name);
    if (system !== null) started.push({ system, epoch: 0, acked: 0 });
    else say(`${name}: left out, there is no mosquitto on PATH (apt-get install mosquitto)`);
  }
}

/** Null when the system is not installed here. */
async function startSystem(name: SystemName): Promise<systems.System | null> {
  switch (name) {
    case "omega-sync":
      return await systems.startOurs(name, "everysec", { settings: KEEPS_UP });
    case "omega-sync, as shipped":
      return await systems.startOurs(name, "everysec");
    case "omega-sync, AOF always":
      return await systems.startOurs(name, "always", { settings: KEEPS_UP });
    case "omega-sync, memory":
      return await systems.startOurs(name, "off", { durability: "memory", settings: KEEPS_UP });
    case "omega-sync, replicated":
      return await systems.startOurs(name, "always", {
        durability: "replicated",
        settings: KEEPS_UP,
      });
    case "omega-sync, no fold":
      return await systems.startNoop();
    case "aedes, stores nothing":
      return await systems.startBare();
    case "Mosquitto, stores nothing": {
      const program = programPath("mosquitto");
      return program === null ? null : await systems.startMosquitto(program);
    }
    case "aedes + Queue.add":
      return await systems.startQueued("queue-add");
    case "Fastify + Queue.add":
      return await systems.startQueued("fastify");
    case "raw Redis RPUSH":
      return await systems.startRaw();
  }
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
  const generator = start(process.execPath, [LOAD], WITH_IPC);
  try {
    const ready = messageOf(generator, "ready", CONNECT_MS_MAX);
    generator.send(plan);
    await ready;
    const [before, ownBefore] = [cpuOf(system), ownUs(generator)];
    const others = watchOthers();
    const msMax = plan.warmupMs + plan.measureMs + LAST_MS_MAX;
    const finished = messageOf(generator, "result", msMax);
    generator.send("go");
    const { result } = await finished;
    entrant.acked += result.acked;
    const memory = Object.values(system.pids).map(rssBytes);
    const endedMs = performance.now();
    await system.settle(entrant.acked);
    const behindMs = performance.now() - endedMs;
    const after = cpuOf(system);
    const parts = Object.keys(system.pids);
    const usedUs = (part: string) => (after[part] ?? 0) - (before[part] ?? 0);
    const serversUs = sum(parts.map(usedUs));
    return rowOf(scenario, system.name, result, {
      cpuUsPerDeltaOf: Object.fromEntries(parts.map((part) => [part, usedUs(part) / result.acked])),
      rssMiB: sum(memory) / MIB,
      behindMs,
      othersCores: others(serversUs + ownUs(generator) - ownBefore),
    });
  } finally {
    await stop(generator);
  }
}

/** CPU of the generator and of this process. */
function ownUs(generator: ChildProcess): number {
  return cpuUs(generator.pid ?? -1) + cpuUs(process.pid);
}

function cpuOf({ pids }: systems.System): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([part, pid]) => [part, cpuUs(pid)]));
}

function rowOf(
  scenario: Scenario,
  system: SystemName,
  { ratePerS, ackMsP50, ackMsP99, generator }: LoadResult,
  servers: Pick<Row, "cpuUsPerDeltaOf" | "rssMiB" | "behindMs" | "othersCores">,
): Row {
  return {
    ...{ scenario, system, ratePerS, ackMsP50, ackMsP99 },
    cpuUsPerDelta: sum(Object.values(servers.cpuUsPerDeltaOf)),
    ...servers,
    generatorCores: generator.cores,
    generatorBusy: generator.busy,
    generatorLateMsP99: generator.lateMsP99,
    generatorLimited: isGeneratorLimited(generator),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function messageOf<Kind extends LoadMessage["kind"]>(
  generator: ChildProcess,
  kind: Kind,
  msMax: number,
) {
  type Wanted = Extract<LoadMessage, { kind: Kind }>;
  const isWanted = (message: LoadMessage): message is Wanted => message.kind === kind;
  return firstMessage(generator, isWanted, { what: "the load generator", msMax });
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
