/**
 * The command line.
 * @module
 */
import { Command, InvalidArgumentError } from "commander";
import { LIVE_TARGETS, type LiveTargetName } from "./live-run.ts";
import { PURE_TARGETS, type PureTargetName } from "./targets.ts";

export type TargetName = PureTargetName | LiveTargetName;

export interface Options {
  /** For each target. */
  readonly minutes: number;
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  readonly targets: readonly TargetName[];
  readonly json: boolean;
}

const ALL: readonly TargetName[] = [...PURE_TARGETS, ...LIVE_TARGETS];
const MINUTES_DEFAULT = 7;

const EXAMPLES = `
What it does: makes inputs from the kept ones and from rules that know the formats, and gives them to
  packets  the framer in front of the broker, each stream whole and cut at random
  frame    whole frames       cbor  the bounded decoder     codec  changed bodies in valid frames
  zstd     the decompressor   mqtt  a running gateway       http   its health listener
A crash, an input that takes 50 ms each time, memory that grows by 32 MiB, or an honest device that is
not served is a finding, printed with the command that does it again. Needs redis-server for mqtt and http.
Exit codes: 0 nothing found, 1 something found or a failure, 2 usage.

Examples:
  $ npm run -s fuzz                                    every target, a minute each
  $ npm run -s fuzz -- --minutes 70 --seed 7           ten minutes each
  $ npm run -s fuzz -- --only cbor,frame --count 10000000 --minutes 60 --json
  $ npm run -s fuzz -- --only codec --seed 7 --first 1234 --count 1`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("fuzz")
    .usage("[-- options]")
    .description("Looks for input that crashes, stalls or bloats: packets, frames, CBOR, HTTP.")
    .option("--minutes <m>", "for all targets together", positive, MINUTES_DEFAULT)
    .option("--seed <n>", "32-bit; the same seed gives the same inputs", whole, 1)
    .option("--only <list>", `some of ${ALL.join(", ")}`, targetList, [...ALL])
    .option("--count <n>", "inputs for each target at most", positive, Number.MAX_SAFE_INTEGER)
    .option("--first <n>", "number of the first input, to do one again", whole, 0)
    .option("--json", "{seed, minutes, targets: [{target, inputs, outcomes, findings, …}]}")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const { only, ...parsed } = command.opts<
    Omit<Options, "targets" | "json"> & { only: TargetName[]; json?: true }
  >();
  return { ...parsed, targets: only, json: parsed.json === true };
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw new InvalidArgumentError("Expected a whole number from 0 to 4294967295.");
}

function targetList(text: string): TargetName[] {
  return text.split(",").map((name) => {
    const found = ALL.find((known) => known === name.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`There is ${ALL.join(", ")}.`);
  });
}
