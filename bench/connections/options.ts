/**
 * The command line.
 * @module
 */
import { Command } from "commander";
import { someOf } from "../support/names.ts";

const SCENARIO_NAMES = ["idle", "cost", "known", "storm", "release"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Options {
  readonly json: boolean;
  readonly quick: boolean;
  readonly scenarios: readonly ScenarioName[];
}

const EXAMPLES = `
What it does: starts a gateway of its own for each scenario, as a process on loopback with a
redis-server (on PATH) behind it, and the device ends as raw sockets in another process. Needs
16,000 file descriptors per process (ulimit -n) and openssl.
Tables (or with --json one object) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:connections                            everything, about nine minutes
  $ npm run -s bench:connections -- --json > conn.json      {machine, date, rows, floors}
  $ npm run -s bench:connections -- --only storm,release    some of idle, cost, known, storm, release
  $ npm run -s bench:connections -- --quick                 a tenth of the devices: a first look`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:connections")
    .usage("[-- options]")
    .description("Measures what connections cost a gateway: memory, CPU, storms, releases.")
    .option("--json", "one JSON object instead of tables")
    .option("--only <list>", "some of the scenarios", someOf(SCENARIO_NAMES), [...SCENARIO_NAMES])
    .option("--quick", "a tenth of the devices, less exact; floors are not judged by it")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{ json?: true; quick?: true; only: ScenarioName[] }>();
  return {
    json: parsed.json === true,
    quick: parsed.quick === true,
    scenarios: parsed.only,
  };
}
