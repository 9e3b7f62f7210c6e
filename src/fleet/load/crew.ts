/**
 * The processes that play a fleet: this one alone, or children whose measurements are put together.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, TransportError } from "../../core/index.ts";
import { LoadRun } from "./load-run.ts";
import type { WorkerNews, WorkerOrder } from "./load-worker.ts";
import { type LoadPlan, type RunPart, type Share, sharesOf } from "./plan.ts";
import type { Sample } from "./tally.ts";

export interface CrewOptions {
  readonly plan: LoadPlan;
  readonly processes: number;
  readonly clock: Clock;
  /** Samples of one second come from each process, in order from each. */
  readonly onSample: (sample: Sample) => void;
  /** Ends the run early; what was measured counts. */
  readonly signal: AbortSignal;
}

/** Runs the plan to its end and gives what each process measured. */
export async function runCrew(options: CrewOptions): Promise<RunPart[]> {
  const { plan, processes, clock, onSample, signal } = options;
  const shares = sharesOf(plan.devices, processes);
  if (shares.length > 1) {
    return await Promise.all(shares.map((share) => runChild(share, options)));
  }
  const run = new LoadRun({ plan, share: shares[0] as Share, clock, onSample });
  const stop = () => run.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return [await run.run()];
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function runChild(share: Share, { plan, onSample, signal }: CrewOptions): Promise<RunPart> {
  const worker = new URL(`./load-worker${extname(import.meta.url)}`, import.meta.url);
  const child = fork(fileURLToPath(worker), {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const stop = () => order(child, { kind: "stop" });
  const killed = () => child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  process.once("exit", killed);
  return new Promise<RunPart>((resolve, reject) => {
    let part: RunPart | null = null;
    child.on("message", (news: WorkerNews) => {
      if (news.kind === "sample") onSample(news.sample);
      else part = news.part;
    });
    child.once("error", reject);
    child.once("exit", (code, by) => {
      if (part !== null) resolve(part);
      else reject(new TransportError("fleet.worker", `a load process ended with ${by ?? code}`));
    });
    order(child, { kind: "run", plan, share });
  }).finally(() => {
    signal.removeEventListener("abort", stop);
    process.removeListener("exit", killed);
    killed();
  });
}

function order(child: ChildProcess, order: WorkerOrder): void {
  // One that has just ended no longer listens, and its end is noticed elsewhere.
  if (child.connected) child.send(order, () => {});
}
