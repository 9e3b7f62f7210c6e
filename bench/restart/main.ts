/**
 * `npm run bench:restart`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { CommanderError } from "commander";
import { messageOf } from "../../src/core/index.ts";
import { type Floor, type Row, reportOf, textOf } from "../support/report.ts";
import { drain } from "./drain.ts";
import { parseOptions, type ScenarioName } from "./options.ts";
import { rolling } from "./rolling.ts";
import type { Scenario } from "./scenarios.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = { drain, rolling };

function say(line: string): void {
  process.stderr.write(`bench:restart: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const rows: Row[] = [];
    const floors: Floor[] = [];
    for (const name of options.scenarios) {
      say(`${name} …`);
      const found = await SCENARIOS[name]({ say });
      rows.push(...found.rows);
      floors.push(...found.floors.map((floor) => ({ ...floor, name: `${name}: ${floor.name}` })));
    }
    const report = reportOf(rows, floors);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    return EXIT.failure;
  }
}

process.exitCode = await main(process.argv.slice(2));
