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
import { until } from "../../bench/support/processes.ts";
import { judgeRun, type Verdict } from "./judge.ts";
import { type Rest, waitForRest } from "./rest.ts";
import { type Rig, startRig } from "./rig.ts";
import { type BackendName, drawSchedule, type Schedule } from "./schedule.ts";
import type { OpenStage } from "./stage.ts";
import { Trouble } from "./trouble.ts";

export interface RunOptions {
  readonly backend: BackendName;
  /** Of the trouble; starting and judging come on top. */
  readonly troubleMs: number;
  readonly seed: number;
  readonly devices: number;
  readonly deltasPerS: number;
  /** To be played instead of one drawn from the seed. */
  readonly schedule: Schedule | null;
  /** An empty folder. */
  readonly dir: string;
  readonly say: Say;
  readonly signal: AbortSignal;
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
const WARM_MS = 3_000;
const WHOLE_MS_MAX = 60_000;

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
    const trouble = new Trouble({ rig, schedule, say, signal: options.signal });
    await trouble.run();
    options.signal.throwIfAborted();
    await trouble.end();
    say(`${backend}: the faults are over`);
    const { rest, stage } = await comeToRest(rig);
    try {
      return await outcomeOf(options, { rig, rest, stage, trouble });
    } finally {
      await stage.close();
    }
  } finally {
    await rig.stop();
  }
}

async function warmUp(rig: Rig, devices: number): Promise<void> {
  const link = rig.links.get("devices→haproxy");
  await until("the devices", () => (link?.connections ?? 0) >= devices, WARM_MS_MAX);
  await sleep(WARM_MS);
}

/** Nobody speaks from now on; gives the store as it is in the end, with nobody writing. */
async function comeToRest(rig: Rig): Promise<{ readonly rest: Rest; readonly stage: OpenStage }> {
  const { targets } = rig;
  const quiet = () => {
    for (const name of [...targets.crowds, ...targets.devices]) {
      rig.parts.get(name)?.send({ kind: "quiet" });
    }
  };
  quiet();
  const isAlone = rig.servers.length === 1;
  // The database of the one process is its own until it has ended.
  const early = isAlone ? null : await openWhole(rig);
  // A process that was just starting has not heard it.
  const again = setInterval(quiet, 1_000);
  const rest = await waitForRest(rig, early, LATE_MS_MAX).finally(() => clearInterval(again));
  for (const server of rig.servers) await server.stop(15_000);
  return { rest, stage: early ?? (await rig.stage.open()) };
}

async function openWhole({ stage }: Rig): Promise<OpenStage> {
  await until("the backend", () => stage.whole(), WHOLE_MS_MAX);
  return await stage.open();
}

async function outcomeOf(
  { backend, dir, say }: RunOptions,
  of: {
    readonly rig: Rig;
    readonly rest: Rest;
    readonly stage: OpenStage;
    readonly trouble: Trouble;
  },
): Promise<Outcome> {
  const { rig, rest, stage, trouble } = of;
  const complaints = rest.crowds.flatMap((crowd) => crowd.complaints);
  const verdict = await judgeRun({
    ...{ historyDir: rig.historyDir, framesDir: rig.framesDir, stage, reports: rest.reports },
    rested: { ...rest.rested, ...(rest.afterMs > REST_MS_MAX ? { converged: false } : {}) },
    crashes: [...complaints, ...rig.all.flatMap(({ crashes }) => crashes)],
    tailMayBeLost: backend === "replicated",
  });
  const byFault = trouble.done;
  say(`${backend}: at rest after ${(rest.afterMs / 1_000).toFixed(1)} s: ${rest.missing}`);
  const gaveUp = rig.all.reduce((sum, part) => sum + part.gaveUp, 0);
  const { devices, converged, afterMs: restMs } = rest;
  const outcome = { ...verdict, backend, devices, converged, restMs, byFault, gaveUp };
  writeFileSync(
    join(dir, "outcome.json"),
    `${JSON.stringify({ ...outcome, skipped: trouble.skipped }, null, 1)}\n`,
  );
  return outcome;
}
