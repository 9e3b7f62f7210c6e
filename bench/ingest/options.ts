/**
 * The command line.
 * @module
 */
import { Command, InvalidArgumentError } from "commander";
import { someOf } from "../support/names.ts";
import { SCENARIOS, type Scenario } from "./report.ts";

export interface Options {
  readonly json: boolean;
  readonly save: boolean;
  readonly quick: boolean;
  readonly scenarios: readonly Scenario[];
  /** Deltas per second of the open loop. */
  readonly ratePerS: number;
}

/** What the settings of `durability` cost is a question of its own. */
const BY_DEFAULT = SCENARIOS.filter((name) => name !== "durability");
const RATE_PER_S = { default: 5_000, max: 50_000 };

const EXAMPLES = `
What it does: starts every system as processes of its own on loopback, loads them in turn from
another process, round after round, and prints the medians and the ratios with their floors. A
redis-server on PATH is needed; Mosquitto is left out, with a word, where there is none.
The table (or with --json one object) goes to stdout, progress to stderr.

Examples:
  $ npm run -s bench                          all scenarios but durability, about seven minutes
  $ npm run -s bench -- --quick               one short round, under two minutes, less exact
  $ npm run -s bench -- --only open-loop      some of ${SCENARIOS.join(", ")}
  $ npm run -s bench -- --json > ingest.json  {machine, date, rows, ratios}
  $ npm run -s bench -- --save                also written to test/bench/results/<date>.json
  $ npm run -s bench -- --rate 2000           a slower open loop`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench")
    .usage("[-- options]")
    .description("Measures the whole ingest pipeline beside what one would pick instead.")
    .option("--json", "one JSON object instead of tables")
    .option("--save", "also write the JSON to test/bench/results/<date>.json")
    .option("--quick", "one round of short runs: under two minutes, less exact")
    .option("--only <list>", "some of the scenarios", someOf(SCENARIOS), BY_DEFAULT)
    .option("--rate <n>", "deltas per second of the open loop", ratePerS, RATE_PER_S.default)
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{
    json?: true;
    save?: true;
    quick?: true;
    only: Scenario[];
    rate: number;
  }>();
  return {
    json: parsed.json === true,
    save: parsed.save === true,
    quick: parsed.quick === true,
    scenarios: parsed.only,
    ratePerS: parsed.rate,
  };
}

function ratePerS(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= RATE_PER_S.max) return value;
  throw new InvalidArgumentError(`It must be an integer from 1 to ${RATE_PER_S.max}.`);
}
