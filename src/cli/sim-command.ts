/**
 * `omega-sync sim`: whole worlds on a virtual clock, judged by the oracle.
 * @module
 */
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, InvalidArgumentError, Option } from "commander";
import { systemClock, TransportError } from "../core/index.ts";
import {
  count,
  describeFault,
  emptyTally,
  INVARIANTS,
  type Invariant,
  lineOf,
  PACES,
  type PaceName,
  planOf,
  runBatch,
  runWorld,
  type SeedRange,
  type SimContext,
  shrink,
  type Tally,
  traceOf,
} from "../fleet/sim/index.ts";
import { loadZstd } from "../wire/index.ts";
import { downlinkSource } from "./compose/downlink-source.ts";
import { EXIT } from "./exit.ts";
import { alignColumns, type CliContext, printResult } from "./output.ts";
import { runPlanted } from "./sim-planted.ts";
import type { SimNews } from "./sim-worker.ts";

interface SimCommandOptions {
  readonly seed: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly pace: PaceName;
  readonly firstOnly?: boolean;
  readonly trace: number;
  readonly history?: string;
  /** Names, or true for all. */
  readonly planted?: string | true;
  readonly json?: boolean;
}

const SEED_MAX = 2 ** 31 - 1;
const JOBS_MAX = 64;
const PROGRESS_MS = 5_000;
const TRACE_LINES = 60;

/** Makes `command` the command `sim`. */
export function register(command: Command, context: CliContext): void {
  command
    .option("--seed <n>", "of the first world", integer(0, SEED_MAX), 1)
    .option("--seeds <n>", "how many worlds, one for each seed", integer(1, SEED_MAX), 100)
    .option("--jobs <n>", "processes that share the seeds", integer(1, JOBS_MAX), 1)
    .addOption(
      new Option("--pace <name>", "dense: small numbers, minutes; real: the defaults, hours")
        .choices(Object.keys(PACES))
        .default("dense"),
    )
    .option("--first-only", "stop at the first world that fails")
    .option(
      "--trace <lines>",
      "of a failure's history to print",
      integer(0, 1_000_000),
      TRACE_LINES,
    )
    .option("--history <file>", "write the history of world --seed, one event in a line")
    .option("--planted [names]", "also check the checker: bugs planted in a checkout's sources")
    .option("--json", "one JSON object at the end; progress goes to stderr")
    .addHelpText("after", HELP)
    .action((options: SimCommandOptions) => sim(context, options));
}

const HELP = `
A world is a handful of TVs, gateways and aggregators with a queue and a store
between them. All of it is the production code; network, disks, queue server,
store server and time are simulated, and fail as the seed says. The same seed
lives the same history, byte for byte; docs/simulation.md says what is modelled.

A world that fails is told with its seed, the shortest beginning of its faults
that still fails, the faults of it that matter, and the end of its history.

With --planted, bugs are planted in a copy of the checkout's sources, one after
the other, all of them or those named (a,b), and each must be caught within 200
worlds. Without it "planted" is null in the JSON: nobody looked.

The invariants:
${alignColumns(Object.entries(INVARIANTS).map(([name, text]) => [`  ${name}`, text]))}

Exit code 0: no violation and every planted bug caught, 1: otherwise, 2: usage.

Examples:
  $ omega-sync sim --seeds 1000 --jobs 2
  $ omega-sync sim --seed 4711 --seeds 1 --trace 200
  $ omega-sync sim --seeds 100 --pace real
  $ omega-sync sim --seed 4711 --seeds 1 --history world.jsonl
  $ omega-sync sim --seeds 100000 --jobs 8 --planted --json`;

async function sim(context: CliContext, options: SimCommandOptions): Promise<void> {
  const simContext = { zstd: await loadZstd(), sourceOf: downlinkSource };
  if (options.history !== undefined) {
    const { history } = await runWorld(planOf(options.seed, options.pace), simContext);
    writeFileSync(options.history, history.map((event) => `${lineOf(event)}\n`).join(""));
  }
  const tally = await runAll(context, options, simContext);
  tally.violations.sort((a, b) => a.seed - b.seed);
  const planted = options.planted === undefined ? null : await runPlanted(options.planted);
  const virtualHours = Math.round(tally.virtualHours * 10) / 10;
  const failures = options.json ? [] : await tellFailures(tally, options, simContext);
  const rows = [
    ["worlds", `${tally.seeds}`],
    ["device-hours", `${virtualHours}`],
    ["violations", `${tally.violations.length}`],
    ...(planted === null ? [] : [["planted bugs caught", `${planted.caught} of ${planted.total}`]]),
  ];
  printResult(context, options, {
    text: [...failures, alignColumns(rows)].join("\n"),
    value: { seeds: tally.seeds, virtualHours, violations: tally.violations, planted },
  });
  const missed = planted === null ? 0 : planted.total - planted.caught;
  context.exitCode = tally.violations.length + missed === 0 ? EXIT.ok : EXIT.failure;
}

/** Every seed, or as many as there was time for: an interrupt ends the run, and what was lived counts. */
async function runAll(
  context: CliContext,
  options: SimCommandOptions,
  simContext: SimContext,
): Promise<Tally> {
  const tally = emptyTally();
  const tell = progressTo(context, options);
  const stopping = new AbortController();
  const { signal } = stopping;
  const onWorlds = ({ seeds, virtualHours, violations }: Tally) => {
    tally.seeds += seeds;
    tally.virtualHours += virtualHours;
    tally.violations.push(...violations);
    for (const { seed, invariant } of violations) {
      context.stderr.write(`seed ${seed} breaks ${invariant}\n`);
    }
    tell(tally);
    if (options.firstOnly && violations.length > 0) stopping.abort();
  };
  const onSignal = () => stopping.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    const ranges = shares(options);
    if (ranges.length === 1) await runHere(ranges[0] as SeedRange, simContext, onWorlds, signal);
    else await Promise.all(ranges.map((range) => runChild(range, onWorlds, signal)));
  } finally {
    process.removeListener("SIGINT", onSignal).removeListener("SIGTERM", onSignal);
  }
  return tally;
}

async function runHere(
  range: SeedRange,
  simContext: SimContext,
  onWorlds: (tally: Tally) => void,
  signal: AbortSignal,
): Promise<void> {
  await runBatch(range, simContext, (outcome) => {
    const tally = emptyTally();
    count(tally, outcome);
    onWorlds(tally);
    return !signal.aborted;
  });
}

function shares({ seed, seeds, jobs, pace }: SimCommandOptions): SeedRange[] {
  const each = Math.ceil(seeds / jobs);
  const ranges: SeedRange[] = [];
  for (let first = seed; first < seed + seeds; first += each) {
    ranges.push({ pace, first, count: Math.min(each, seed + seeds - first) });
  }
  return ranges;
}

function runChild(
  range: SeedRange,
  onWorlds: (tally: Tally) => void,
  signal: AbortSignal,
): Promise<void> {
  const worker = new URL(`./sim-worker${extname(import.meta.url)}`, import.meta.url);
  const child = fork(fileURLToPath(worker), {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  process.once("exit", kill);
  return new Promise<void>((resolve, reject) => {
    child.on("message", (news: SimNews | null) => {
      if (news !== null) onWorlds(news.tally);
    });
    child.once("error", reject);
    child.once("exit", (code, by) => {
      if (code === 0 || signal.aborted) resolve();
      else reject(new TransportError("sim.worker", `a process of worlds ended with ${by ?? code}`));
    });
    child.send(range);
  }).finally(() => {
    signal.removeEventListener("abort", kill);
    process.removeListener("exit", kill);
  });
}

function progressTo(context: CliContext, { seeds }: SimCommandOptions): (tally: Tally) => void {
  let toldMs = systemClock.monotonicMs();
  return (tally) => {
    if (systemClock.monotonicMs() - toldMs < PROGRESS_MS) return;
    toldMs = systemClock.monotonicMs();
    const hours = tally.virtualHours.toFixed(1);
    const violations = `${tally.violations.length} violations`;
    context.stderr.write(`${tally.seeds}/${seeds} worlds, ${hours} device-hours, ${violations}\n`);
  };
}

/** Failing worlds that are told in full; more of them say the same mostly. */
const TOLD_MAX = 3;

async function tellFailures(
  { violations }: Tally,
  options: SimCommandOptions,
  simContext: SimContext,
): Promise<string[]> {
  const told: string[] = [];
  const seeds = [...new Set(violations.map(({ seed }) => seed))];
  for (const seed of seeds.slice(0, TOLD_MAX)) {
    const first = violations.find((violation) => violation.seed === seed);
    if (first !== undefined)
      told.push(await tellFailure(seed, first.invariant, options, simContext));
  }
  if (seeds.length > TOLD_MAX) told.push(`failing seeds: ${seeds.join(" ")}`);
  return told;
}

async function tellFailure(
  seed: number,
  invariant: Invariant,
  { pace, trace: lines }: SimCommandOptions,
  simContext: SimContext,
): Promise<string> {
  const whole = await runWorld(planOf(seed, pace), simContext);
  const { outcome, faults } = await shrink(whole, invariant, simContext);
  const { plan, violations, history } = outcome;
  const counted = `${faults.prefix} of ${faults.all} faults are enough, ${faults.left} of them matter`;
  return [
    `seed ${seed} breaks ${invariant}: ${INVARIANTS[invariant]}`,
    `  ${counted}`,
    ...plan.faults.map((fault) => `  at ${fault.atMs} ms: ${describeFault(fault)}`),
    ...violations.map(({ invariant: broken, what }) => `  ${broken}: ${what}`),
    ...traceOf(history, lines).map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be an integer in ${min} … ${max}: got ${text}`);
  };
}
