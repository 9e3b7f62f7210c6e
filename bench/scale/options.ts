/**
 * The command line.
 * @module
 */
import { Command } from "commander";
import { someOf } from "../support/names.ts";
import { DIMENSIONS, type Dimension } from "./points.ts";

export interface Options {
  readonly json: boolean;
  readonly quick: boolean;
  readonly dimensions: readonly Dimension[];
  /** Folder for the plots; null: none. */
  readonly plots: string | null;
}

const EXAMPLES = `
What it does: for each point it starts a gateway, an aggregator and a redis-server (on PATH) of
their own on loopback, loads all points of a dimension in turn at 2,000 deltas a second, and tells
what CPU a delta took in each process. Needs 5,000 file descriptors per process (ulimit -n).
Tables (or with --json one object) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:scale                          everything, about ten minutes
  $ npm run -s bench:scale -- --json > scale.json   {machine, date, rows, ratios}
  $ npm run -s bench:scale -- --only devices        some of ${DIMENSIONS.join(", ")}
  $ npm run -s bench:scale -- --quick               two points each, one short round, two minutes
  $ npm run -s bench:scale -- --plots docs          also docs/scale-<dimension>.svg`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:scale")
    .usage("[-- options]")
    .description("Measures how the cost of a delta grows with devices, shards and patterns.")
    .option("--json", "one JSON object instead of tables")
    .option("--only <list>", "some of what is varied", someOf(DIMENSIONS), [...DIMENSIONS])
    .option("--quick", "fewer points and one short round: less exact, and no floors")
    .option("--plots <dir>", "write a plot of each dimension into this folder")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{ json?: true; quick?: true; only: Dimension[]; plots?: string }>();
  return {
    json: parsed.json === true,
    quick: parsed.quick === true,
    dimensions: parsed.only,
    plots: parsed.plots ?? null,
  };
}
