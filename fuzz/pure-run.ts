/**
 * Runs a target in a process of its own and watches it: a hang cannot be seen from inside.
 * @module
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Finding, GROWTH_MIB_MAX, type TargetResult } from "./finding.ts";
import type { PureReport } from "./pure-main.ts";
import type { PureTargetName } from "./targets.ts";

const MAIN = fileURLToPath(new URL("./pure-main.js", import.meta.url));
/** A process that says nothing for so long hangs: it reports twice a second. */
const SILENCE_MS_MAX = 30_000;

export interface PureRunOptions {
  readonly target: PureTargetName;
  readonly seed: number;
  /** Index of the first input. */
  readonly first: number;
  /** Inputs at most. */
  readonly count: number;
  /** Seconds at most. */
  readonly seconds: number;
  readonly root: string;
  readonly onProgress: (inputs: number) => void;
}

export async function runPure(options: PureRunOptions): Promise<TargetResult> {
  const { target, seed, first, count, root } = options;
  const startedAtMs = performance.now();
  const args = [target, seed, first, count, root].map(String);
  const child = fork(MAIN, args, { execArgv: ["--expose-gc"], stdio: ["ignore", 2, 2, "ipc"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let last: PureReport | null = null;
  const ended = await new Promise<string | null>((resolve) => {
    let silence = setTimeout(() => resolve("hangs"), SILENCE_MS_MAX);
    const stop = setTimeout(() => child.send("stop"), options.seconds * 1_000);
    child.on("message", (message) => {
      last = message as PureReport;
      options.onProgress(last.inputs);
      clearTimeout(silence);
      silence = setTimeout(() => resolve("hangs"), SILENCE_MS_MAX);
    });
    child.once("exit", (code, signal) => {
      clearTimeout(silence);
      clearTimeout(stop);
      resolve(last?.done === true ? null : `ended with ${signal ?? code}`);
    });
  });
  kill();
  process.off("exit", kill);
  return resultOf(options, last, ended, (performance.now() - startedAtMs) / 1_000);
}

function resultOf(
  { target, seed, first }: PureRunOptions,
  report: PureReport | null,
  ended: string | null,
  seconds: number,
): TargetResult {
  const inputs = report?.inputs ?? 0;
  const replayOf = (from: number, count: number) =>
    `npm run -s fuzz -- --only ${target} --seed ${seed} --first ${from} --count ${count}`;
  const findings: Finding[] = (report?.findings ?? []).map(({ index, what, hex }) => ({
    ...{ target, what, hex },
    replay: replayOf(index, 1),
  }));
  if (ended !== null) {
    const what = `the process ${ended} within the inputs after ${first + inputs}`;
    findings.push({ target, what, replay: replayOf(first + inputs, 10_000) });
  }
  const grewMiB = report?.grewMiB ?? 0;
  if (grewMiB > GROWTH_MIB_MAX) {
    const what = `memory grew by ${grewMiB.toFixed(0)} MiB`;
    findings.push({ target, what, replay: replayOf(first, inputs) });
  }
  const slowestMs = report?.slowestMs ?? 0;
  return {
    target,
    inputs,
    outcomes: report?.outcomes ?? {},
    slowestMs,
    grewMiB,
    seconds,
    findings,
  };
}
