/**
 * One run on one backend: a rig, its load, its trouble, its rest and its judgement.
 *
 *   starting ─▶ all devices connected ─▶ trouble ─▶ all faults end, nobody speaks ─▶ at rest ─▶ judged
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Say } from "../../bench/support/command.ts";
import { metricsPage, sumOf } from "../../bench/support/page.ts";
import { until } from "../../bench/support/processes.ts";
import { newestRelease } from "../../src/fleet/oracle/stored.ts";
import { bareDepth, countBare } from "./bare.ts";
import { judgeRun, TENANT, type Verdict } from "./judge.ts";
import { type Rest, type ServerView, waitForRest } from "./rest.ts";
import { type Rig, type SystemName, startRig } from "./rig.ts";
import { type BackendName, drawSchedule, type Schedule } from "./schedule.ts";
import type { OpenStage } from "./stage.ts";
import { Trouble } from "./trouble.ts";

export interface RunOptions {
  readonly system: SystemName;
  readonly backend: BackendName;
  /** Of the trouble; starting and judging come on top. */
  readonly troubleMs: number;
  readonly seed: number;
  readonly devices: number;
  readonly deltasPerS: number;
  readonly set: readonly string[];
  readonly beside: string | null;
  /** To be played instead of one drawn from the seed. */
  readonly schedule: Schedule | null;
  /** An empty folder. */
  readonly dir: string;
  readonly say: Say;
}

export interface Outcome extends Verdict {
  readonly backend: BackendName;
  readonly devices: number;
  readonly converged: number;
  /** From the end of the last fault until all was at rest, milliseconds. */
  readonly restMs: number;
  readonly byFault: Readonly<Record<string, number>>;
  /** Processes that ended by themselves and were started again. */
  readonly gaveUp: number;
}

/** What a thousand devices have to come to rest. */
const REST_MS_MAX = 30_000;
/** Beyond it is waited on, to see whether it comes late or never. */
const LATE_MS_MAX = 90_000;
const WARM_MS_MAX = 60_000;
const WARM_MS = 1_000;
const WHOLE_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;
const QUIET_MS = 1_000;
/** Longer than a job's lock (5 s) and two looks for those that have run out. */
const IDLE_MS = 8_000;

export async function runOn(options: RunOptions): Promise<Outcome> {
  const { backend, dir, say, troubleMs, seed } = options;
  say(`${backend}: starting`);
  const rig = await startRig(options);
  try {
    const drawn = () => drawSchedule(backend, rig.targets, { seed, troubleMs });
    const schedule = options.schedule ?? drawn();
    writeFileSync(join(dir, "schedule.json"), `${JSON.stringify(schedule, null, 1)}\n`);
    await warmUp(rig, options.devices);
    say(
      `${backend}: ${options.devices} devices are connected, ${schedule.events.length} faults planned`,
    );
    const trouble = new Trouble({ rig, schedule, say });
    await trouble.run();
    await trouble.end();
    say(`${backend}: the faults are over`);
    const outcome = await SYSTEMS[options.system](options, rig);
    const gaveUp = rig.all.reduce((sum, part) => sum + part.gaveUp, 0);
    const whole = { ...outcome, backend, byFault: trouble.done, gaveUp };
    const kept = { ...whole, skipped: trouble.skipped };
    writeFileSync(join(dir, "outcome.json"), `${JSON.stringify(kept, null, 1)}\n`);
    return whole;
  } finally {
    await rig.stop();
  }
}

async function warmUp(rig: Rig, devices: number): Promise<void> {
  const link = rig.links.get("devices→haproxy");
  await until("the devices", () => (link?.connections ?? 0) >= devices, WARM_MS_MAX);
  await sleep(WARM_MS);
}

/** What is found once nobody speaks any more. */
type Found = Verdict & Pick<Outcome, "devices" | "converged" | "restMs">;

const SYSTEMS: Readonly<Record<SystemName, (options: RunOptions, rig: Rig) => Promise<Found>>> = {
  "omega-sync": restAndJudge,
  "bare-aedes": restAndCount,
};

async function restAndJudge({ backend, say }: RunOptions, rig: Rig): Promise<Found> {
  // The database of the one process is its own until it has ended.
  const isAlone = rig.servers.length === 1;
  const early = isAlone ? null : await openWhole(rig);
  const view = early === null ? viewFromOutside(rig.metricsPort) : await viewOf(early);
  const rest = await comeToRest(rig, view);
  say(`${backend}: ${restText(rest)}`);
  for (const server of rig.servers) await server.stop(STOP_MS_MAX);
  const stage = early ?? (await rig.stage.open());
  try {
    const complaints = rest.crowds.flatMap((crowd) => crowd.complaints);
    const inTime = rest.afterMs <= REST_MS_MAX;
    const verdict = await judgeRun({
      ...{ historyDir: rig.historyDir, framesDir: rig.framesDir, stage, reports: rest.reports },
      rested: { ...rest.rested, ...(inTime ? {} : { converged: false }) },
      poisoned: rest.crowds.reduce((sum, { poisoned }) => sum + poisoned, 0),
      crashes: [...complaints, ...rig.all.flatMap(({ crashes }) => crashes)],
      tailMayBeLost: backend === "replicated",
    });
    const { devices, converged, afterMs: restMs } = rest;
    return { ...verdict, devices, converged, restMs };
  } finally {
    await stage.close();
  }
}

/**
 * The system for comparison promises less: only what it lost is counted. Nobody answers the pulls of
 * its real devices, which therefore say nothing.
 */
async function restAndCount({ say }: RunOptions, rig: Rig): Promise<Found> {
  const depth = async () => (await bareDepth(rig.stage.port ?? 0)) ?? Number.POSITIVE_INFINITY;
  const rest = await comeToRest(rig, { ...NOTHING_TO_SEE, depth }, REST_MS_MAX);
  say(`bare-aedes: ${restText(rest)}`);
  const { devices, afterMs: restMs } = rest;
  const none = { deadLettered: 0, recognised: 0, violations: [] };
  return { ...countBare(rig.historyDir), ...none, devices, converged: 0, restMs };
}

const NOTHING_TO_SEE: ServerView = { depth: async () => 0, newest: async () => null };

/**
 * Of a process whose database nobody else may open: its queue counts as empty when no job was done
 * for longer than those of a dead worker take to come back. Whether it was is seen afterwards.
 */
function viewFromOutside(httpPort: number): ServerView {
  let done = -1;
  let sinceMs = performance.now();
  const depth = async () => {
    const page = await metricsPage(httpPort).catch(() => null);
    const now = page === null ? -1 : sumOf(page, "omega_queue_jobs_done_total");
    if (now === -1 || now !== done) sinceMs = performance.now();
    done = now;
    return performance.now() - sinceMs > IDLE_MS ? 0 : 1;
  };
  return { ...NOTHING_TO_SEE, depth };
}

function restText({ afterMs, missing }: Rest): string {
  return `at rest after ${(afterMs / 1_000).toFixed(1)} s: ${missing}`;
}

/** Nobody speaks from now on. */
async function comeToRest(rig: Rig, view: ServerView, msMax = LATE_MS_MAX): Promise<Rest> {
  const { targets } = rig;
  const quiet = () => {
    for (const name of [...targets.crowds, ...targets.devices]) {
      rig.parts.get(name)?.send({ kind: "quiet" });
    }
  };
  quiet();
  // A process that was just starting has not heard it.
  const again = setInterval(quiet, QUIET_MS);
  return await waitForRest(rig, view, msMax).finally(() => clearInterval(again));
}

async function openWhole({ stage }: Rig): Promise<OpenStage> {
  await until("the backend", () => stage.whole(), WHOLE_MS_MAX);
  return await stage.open();
}

async function viewOf({ queue, store }: OpenStage): Promise<ServerView> {
  const producer = await queue.producer();
  return { depth: () => producer.depth(), newest: () => newestRelease(store, TENANT) };
}
