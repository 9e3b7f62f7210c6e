/**
 * `npm run bench:embedded`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { CommanderError } from "commander";
import { messageOf } from "../../src/core/index.ts";
import { reportOf, textOf } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { measureEmbedded } from "./run.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

function say(line: string): void {
  process.stderr.write(`bench:embedded: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const { rows, floors } = await measureEmbedded(options, say);
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
