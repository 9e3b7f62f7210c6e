/**
 * The command line.
 * @module
 */
import { Command, InvalidArgumentError } from "commander";

export interface Options {
  readonly json: boolean;
  readonly data: string | null;
  readonly dim: number;
  readonly sets: readonly BuiltInSet[];
  readonly quick: boolean;
  readonly svg: string | null;
}

const BUILT_IN_SETS = ["iid", "synthetic"] as const;
type BuiltInSet = (typeof BUILT_IN_SETS)[number];

interface Parsed {
  json?: boolean;
  data?: string;
  dim: number;
  sets?: BuiltInSet[];
  quick?: boolean;
  svg?: string;
}

const EXAMPLES = `
What it prints: bytes of the complete frame (the largest of those measured), mean cosine, NMSE,
recall@10 among the 100 of a pull, the gap to the rate–distortion limit at the rate of the coded
vectors, the NMSE of the mean of 1 to 1000 devices, and encode and decode times of one frame.
Tables (or with --json one array of rows) go to stdout, progress to stderr.

Examples:
  $ npm run -s bench:codec                                        every method on iid and synthetic
  $ npm run -s bench:codec -- --quick --sets synthetic            a first look, in less than a minute
  $ npm run -s bench:codec -- --json > codec.json                 one array of rows
  $ npm run -s bench:codec -- --data mine.f32 --dim 384 --sets none   your own vectors alone
  $ npm run -s bench:codec -- --svg docs/codec-fidelity.svg       the plot as well

--data wants little-endian float32, row after row, at least 400 rows. They are shuffled by a fixed
seed, scaled to unit length and split: all models and codebooks learn from one part, every figure
comes from another, and a third asks the questions of recall@10.`;

/** Parses `args` (without node and script). Throws `CommanderError`; help and version too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("bench:codec")
    .usage("[-- options]")
    .description("Measures the vector codec beside its alternatives, on complete frames.")
    .option("--json", "one JSON array of rows instead of tables")
    .option("--data <file.f32>", "vectors of your own, as a further set")
    .option("--dim <n>", "components per vector in --data", integer, 384)
    .option("--sets <list>", "built-in sets, of iid, synthetic; or none", setList)
    .option("--quick", "fewer vectors and devices: less than a minute, less exact")
    .option("--svg <file>", "also draw fidelity against bytes into this file")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<Parsed>();
  const sets = parsed.sets ?? BUILT_IN_SETS;
  if (sets.length === 0 && parsed.data === undefined) {
    command.error("error: --sets none needs --data", { exitCode: 2 });
  }
  return {
    json: parsed.json === true,
    data: parsed.data ?? null,
    dim: parsed.dim,
    sets,
    quick: parsed.quick === true,
    svg: parsed.svg ?? null,
  };
}

function integer(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be an integer.");
  return Number(text);
}

function setList(text: string): BuiltInSet[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.length === 1 && names[0] === "none") return [];
  return names.map((name) => {
    const found = BUILT_IN_SETS.find((known) => known === name);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`There is ${BUILT_IN_SETS.join(", ")}, or none.`);
  });
}
