/**
 * The command line.
 * @module
 */
import { Command } from "commander";
import { someOf } from "../support/names.ts";

const SCENARIO_NAMES = ["drain", "rolling"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Options {
  readonly json: boolean;
  readonly scenarios: readonly ScenarioName[];
}

const EXAMPLES = `
What it does: starts three gateways behind HAProxy, two aggregators and a Redis as processes on
loopback, puts an open-loop load of light devices on them, and restarts servers under it. Needs
haproxy and redis-server (on PATH).
Tables (or with --json one object) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:restart                       everything, about five minutes
  $ npm run -s bench:restart -- --json > r.json    {machine, date, rows, floors}
  $ npm run -s bench:restart -- --only drain       one of drain, rolling`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:restart")
    .usage("[-- options]")
    .description("Measures what restarts of servers cost the devices, and that nothing is lost.")
    .option("--json", "one JSON object instead of tables")
    .option("--only <list>", "some of the scenarios", someOf(SCENARIO_NAMES), [...SCENARIO_NAMES])
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{ json?: true; only: ScenarioName[] }>();
  return { json: parsed.json === true, scenarios: parsed.only };
}
