/**
 * The command line.
 * @module
 */
import { Command, InvalidArgumentError } from "commander";
import { someOf } from "../support/names.ts";

const SCENARIO_NAMES = ["cost", "devices", "memory", "shards"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Options {
  readonly json: boolean;
  readonly quick: boolean;
  readonly scenarios: readonly ScenarioName[];
  /** The larger number of known devices of `devices` and `memory`. */
  readonly devices: number;
}

const DEVICES_MAX = 200_000;
const EXAMPLES = `
What it does: runs the production writers of shards in processes of their own, fed with encoded
frames from memory, on a redis-server of its own (on PATH, AOF everysec) or the store in memory.
Tables (or with --json one object) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:fold                            everything, about four minutes
  $ npm run -s bench:fold -- --json > fold.json      {machine, date, rows, floors}
  $ npm run -s bench:fold -- --only cost             some of cost, devices, memory, shards
  $ npm run -s bench:fold -- --quick                 fewer deltas: a first look`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:fold")
    .usage("[-- options]")
    .description("Measures what the aggregator pays per delta, by part, and in memory per device.")
    .option("--json", "one JSON object instead of tables")
    .option("--only <list>", "some of the scenarios", someOf(SCENARIO_NAMES), [...SCENARIO_NAMES])
    .option("--devices <count>", "known devices of devices and memory", deviceCount, 50_000)
    .option("--quick", "fewer deltas, less exact; floors are not judged by it")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{
    json?: true;
    quick?: true;
    only: ScenarioName[];
    devices: number;
  }>();
  return {
    json: parsed.json === true,
    quick: parsed.quick === true,
    scenarios: parsed.only,
    devices: parsed.devices,
  };
}

function deviceCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 2_000 && count <= DEVICES_MAX) return count;
  throw new InvalidArgumentError(`An integer in 2,000 … ${DEVICES_MAX}.`);
}
