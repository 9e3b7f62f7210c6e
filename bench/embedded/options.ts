/**
 * The command line.
 * @module
 */
import { Command, InvalidArgumentError } from "commander";

export interface Options {
  readonly json: boolean;
  /** Seconds that each load is measured for, after its warm-up. */
  readonly seconds: number;
}

const SECONDS = { default: 20, max: 300 };

const EXAMPLES = `
What it does: runs omega-sync start on an embedded database of its own in a temporary directory and
loads it from another process: 1,000 deltas a second by the clock, then as many as it takes with one
in flight on each connection. Needs nothing installed.
Tables (or with --json one object) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:embedded                       about a minute
  $ npm run -s bench:embedded -- --json > e.json    {machine, date, rows, floors}
  $ npm run -s bench:embedded -- --seconds 5        shorter, less exact`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:embedded")
    .usage("[-- options]")
    .description("Measures the single process with the embedded database.")
    .option("--json", "one JSON object instead of tables")
    .option("--seconds <n>", "of each load, after its warm-up", seconds, SECONDS.default)
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{ json?: true; seconds: number }>();
  return { json: parsed.json === true, seconds: parsed.seconds };
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= SECONDS.max) return value;
  throw new InvalidArgumentError(`must be an integer in 1 … ${SECONDS.max}: got ${text}`);
}
