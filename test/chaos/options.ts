/**
 * The command line.
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { BUILT_CLI, type SystemName } from "./rig.ts";
import { BACKENDS, type BackendName } from "./schedule.ts";

export interface Options {
  /** Of trouble, over all backends together. */
  readonly minutes: number;
  readonly seed: number;
  readonly devices: number;
  readonly rate: number;
  readonly backends: readonly BackendName[];
  readonly system: SystemName;
  readonly set: readonly string[];
  readonly beside: string | null;
  readonly replay: string | null;
  readonly keep: boolean;
  readonly json: boolean;
}

const SYSTEMS = ["omega-sync", "bare-aedes"] as const;

const EXAMPLES = `
What it does: starts, one backend after the other, gateways behind HAProxy, aggregators, the backend
and a thousand devices as processes on loopback with a fault proxy in every link; hurts them by a
schedule drawn from the seed; lets them come to rest; and has the oracle judge what every one of them
wrote down. docs/chaos.md says what is done and what is judged.
Needs haproxy, redis-server and a PostgreSQL server; a full disk needs root, and is left out without.
The result (or with --json one object) goes to stdout, progress to stderr. The schedule, histories
and logs of a run that fails are kept in a folder that is named.

Exit codes: 0 nothing was violated, 1 something was, or the run failed, 2 usage.

Examples:
  $ npm run -s chaos -- --minutes 4                      one minute for each backend
  $ npm run -s chaos -- --minutes 5 --backend replicated --seed 7
  $ npm run -s chaos -- --minutes 3 --system bare-aedes  what the obvious way loses
  $ npm run -s chaos -- --minutes 3 --beside ../older    a rolling upgrade, and back
  $ npm run -s chaos -- --replay /tmp/omega-chaos-x/aof/schedule.json`;

/** Parses `args` (without node and script). Throws `CommanderError`; help too. */
export function parseOptions(args: readonly string[]): Options {
  const command = new Command("chaos")
    .usage("[-- options]")
    .description("Real processes, real faults: is anything acknowledged ever lost or doubled?")
    .option("--minutes <m>", "trouble, over all backends together (0.1 … 240)", minutes, 4)
    .option("--seed <n>", "what the schedules are drawn from", whole(0, 2 ** 31), 1)
    .option("--devices <n>", "30 … 5,000", whole(30, 5_000), 1_000)
    .option("--rate <n>", "deltas per second, 1 … 2,000", whole(1, 2_000), 100)
    .option("--backend <name>", `${BACKENDS.join(", ")} or all`, backendList, [...BACKENDS])
    .option("--system <name>", `${SYSTEMS.join(" or ")} (on aof)`, system, SYSTEMS[0])
    .option("--set <path=value...>", "settings of the product beside those of docs/chaos.md", [])
    .option(
      "--beside <folder>",
      "a built checkout of another version, which half of the servers are of",
    )
    .option("--replay <file>", "play a schedule.json again instead of drawing one")
    .option("--keep", "keep the folder of a run in which nothing was violated too")
    .option("--json", "one JSON object instead of a table")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride();
  command.parse([...args], { from: "user" });
  const parsed = command.opts<{
    minutes: number;
    seed: number;
    devices: number;
    rate: number;
    backend: BackendName[];
    system: SystemName;
    set: string[];
    beside?: string;
    replay?: string;
    keep?: true;
    json?: true;
  }>();
  const { backend, beside, replay, keep, json, ...rest } = parsed;
  if (beside !== undefined && !existsSync(join(beside, BUILT_CLI))) {
    command.error(
      `--beside: ${beside} holds no built omega-sync (${BUILT_CLI}): npm run build there`,
    );
  }
  const backends = rest.system === "bare-aedes" ? (["aof"] as const) : backend;
  return {
    ...{ ...rest, backends, beside: beside ?? null, replay: replay ?? null },
    ...{ keep: keep === true, json: json === true },
  };
}

function minutes(text: string): number {
  const value = Number(text);
  if (value >= 0.1 && value <= 240) return value;
  throw new InvalidArgumentError("A number, 0.1 … 240.");
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`A whole number, ${min} … ${max}.`);
  };
}

function system(text: string): SystemName {
  const found = SYSTEMS.find((known) => known === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`There is ${SYSTEMS.join(" and ")}.`);
}

function backendList(text: string): BackendName[] {
  if (text === "all") return [...BACKENDS];
  return text.split(",").map((name) => {
    const found = BACKENDS.find((known) => known === name.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`There is ${BACKENDS.join(", ")} and all.`);
  });
}
