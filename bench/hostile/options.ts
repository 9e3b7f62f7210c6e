/**
 * The command line.
 * @module
 */
import { Command } from "commander";
import { someOf } from "../support/names.ts";

const SCENARIO_NAMES = ["declared", "silent", "frozen", "filters", "mixed"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Options {
  readonly json: boolean;
  readonly scenarios: readonly ScenarioName[];
}

const EXAMPLES = `
What it does: starts a gateway of its own for each scenario, as a process on loopback with a
redis-server (on PATH) behind it and its default limits, and attacks it over its socket:
  declared  5,000 CONNECTs that announce 256 MB     filters  a SUBSCRIBE of 10,000 filters
  silent    8,000 sockets that say nothing          mixed    its own filter and others' in one
  frozen    subscribers that stop reading
Needs 10,000 file descriptors per process (ulimit -n).
Tables (or with --json one object) go to stdout, progress to stderr.
Exit codes: 0 every floor is met, 1 one is missed or a failure, 2 usage.

Examples:
  $ npm run -s bench:hostile                          everything, about a minute and a half
  $ npm run -s bench:hostile -- --json > h.json       {machine, date, rows, floors}
  $ npm run -s bench:hostile -- --only silent,mixed   some of the scenarios`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:hostile")
    .usage("[-- options]")
    .description("Attacks a gateway over its socket and measures what the others feel of it.")
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
