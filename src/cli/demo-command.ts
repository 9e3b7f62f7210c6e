/**
 * `omega-sync demo`: the product at work in a minute, with a verdict.
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import { InvalidConfigError, systemClock } from "../core/index.ts";
import { inventHistory, readHistory } from "../fleet/index.ts";
import { addConfigOptions, readConfig } from "./config.ts";
import { runDemo } from "./demo/demo.ts";
import { liveTable } from "./demo/live-table.ts";
import type { DemoResult } from "./demo/verdict.ts";
import { EXIT } from "./exit.ts";
import { alignColumns, type CliContext, printResult } from "./output.ts";
import { backendFlags, type ServeOptions } from "./serve.ts";

interface DemoCommandOptions extends ServeOptions {
  readonly devices?: number;
  readonly seconds: number;
  readonly ratings?: string;
  readonly seed: number;
}

const DEVICES_DEFAULT = 100;
const REPLAY_DEVICES_DEFAULT = 1_000;
const DEVICES_MAX = 5_000;
const SECONDS_DEFAULT = 60;
const SECONDS_MIN = 5;
const SECONDS_MAX = 3_600;

/** Makes `command` the command `demo`. */
export function register(command: Command, context: CliContext): void {
  addConfigOptions(command)
    .option(
      "--devices <n>",
      `TVs, 1 to ${DEVICES_MAX} (${DEVICES_DEFAULT}; ${REPLAY_DEVICES_DEFAULT} with --ratings)`,
      integer(1, DEVICES_MAX),
    )
    .option(
      "--seconds <n>",
      `how long it runs, ${SECONDS_MIN} to ${SECONDS_MAX}`,
      integer(SECONDS_MIN, SECONDS_MAX),
      SECONDS_DEFAULT,
    )
    .option("--ratings <file>", "replay real viewers: user::item::rating::unix time, a line each")
    .option("--seed <n>", "of the invented world", integer(0, 2 ** 32 - 1), 1)
    .option("--redis <url>", "use this Redis instead of the embedded database")
    .option("--postgres <url>", "use this PostgreSQL instead of the embedded database")
    .option("--json", "one JSON object at the end; progress goes to stderr")
    .addHelpText(
      "after",
      `
Exit code 0 only when nothing was lost, every acknowledged delta was applied
exactly once, and every TV holds the newest version.

Examples:
  $ omega-sync demo
  $ omega-sync demo --devices 50 --seconds 30 --json
  $ omega-sync demo --ratings ratings.dat --redis redis://127.0.0.1:6379`,
    )
    .action((options: DemoCommandOptions) => demo(context, options));
}

async function demo(context: CliContext, options: DemoCommandOptions): Promise<void> {
  const { ratings, seed, seconds } = options;
  const devices =
    options.devices ?? (ratings === undefined ? DEVICES_DEFAULT : REPLAY_DEVICES_DEFAULT);
  const history =
    ratings === undefined ? inventHistory(devices, seed) : await readHistory(ratings, devices);
  if (history.viewers.length === 0) throw new InvalidConfigError([`${ratings} holds no rating`]);
  const out = options.json ? context.stderr : context.stdout;
  const isTerminal = (out as { isTTY?: boolean }).isTTY === true;
  const stopping = new AbortController();
  const onSignal = () => stopping.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const result = await runDemo({
    history,
    seconds,
    configOf: (settings) => demoConfig(context, options, settings),
    table: liveTable(out, isTerminal),
    clock: systemClock,
    signal: stopping.signal,
  });
  process.removeListener("SIGINT", onSignal).removeListener("SIGTERM", onSignal);
  printResult(context, options, { text: textOf(result), value: result });
  context.exitCode = result.verdict === "ok" ? EXIT.ok : EXIT.failure;
}

function demoConfig(
  context: CliContext,
  options: DemoCommandOptions,
  settings: Readonly<Record<string, string>>,
) {
  const own = Object.entries(settings).map(([path, text]) => ({ path, flag: "demo", text }));
  const quiet = { path: "log.level", flag: "demo", text: "error" };
  return readConfig(context, options, [quiet, ...own, ...backendFlags(options)]).config;
}

function textOf(result: DemoResult): string {
  const bytes = (of: DemoResult["pushBytes"]) => `p50 ${of.p50}  p95 ${of.p95}  max ${of.max}`;
  const rows = [
    ["devices", `${result.devices}`],
    ["deltas acked", `${result.acked}`],
    ["applied", `${result.applied}`],
    ["duplicates ignored", `${result.duplicates}`],
    ["dead-lettered", `${result.deadLettered}`],
    ["lost", `${result.lost}`],
    [
      "on the newest version",
      `${result.converged} of ${result.devices} (version ${result.version})`,
    ],
    ["push bytes", bytes(result.pushBytes)],
    ["pull bytes", bytes(result.pullBytes)],
    ["PUBACK ms", `p50 ${result.ackMs.p50}  p99 ${result.ackMs.p99}`],
    ["gateway killed", `${result.gatewayKills} time(s)`],
  ];
  return `\n${alignColumns(rows)}\n\nverdict: ${result.verdict}`;
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be an integer in ${min} … ${max}: got ${text}`);
  };
}
