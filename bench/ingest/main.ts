/**
 * `npm run bench`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { CommanderError } from "commander";
import { messageOf } from "../../src/core/index.ts";
import { machineName } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { mediansOf, type Report, ratiosOf, textOf } from "./report.ts";
import { runRounds } from "./run.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
const RESULTS = "test/bench/results";

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const runs = await runRounds(options, say);
    const date = new Date().toISOString().slice(0, 10);
    const figures = { rows: mediansOf(runs), ratios: ratiosOf(runs) };
    const report: Report = { machine: machineName(), date, ...figures };
    const json = `${JSON.stringify(report)}\n`;
    if (options.save) {
      const file = `${RESULTS}/${date}.json`;
      mkdirSync(RESULTS, { recursive: true });
      writeFileSync(file, json);
      say(`saved ${file}`);
    }
    process.stdout.write(options.json ? json : textOf(report));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    return EXIT.failure;
  }
}

process.exitCode = await main(process.argv.slice(2));
