/**
 * `npm run bench:scale`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommanderError } from "commander";
import { messageOf } from "../../src/core/index.ts";
import { machineName } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { scalePlot } from "./plots.ts";
import { DIMENSIONS } from "./points.ts";
import { mediansOf, type Report, type Row, ratiosOf, textOf } from "./report.ts";
import { runDimensions } from "./run.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

function say(line: string): void {
  process.stderr.write(`bench:scale: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const runs = await runDimensions(options, say);
    const date = new Date().toISOString().slice(0, 10);
    // A quick run is too short to judge by.
    const ratios = options.quick ? [] : ratiosOf(runs);
    const report: Report = { machine: machineName(), date, rows: mediansOf(runs), ratios };
    if (options.plots !== null) writePlots(options.plots, report.rows);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    return EXIT.failure;
  }
}

function writePlots(dir: string, rows: readonly Row[]): void {
  mkdirSync(dir, { recursive: true });
  for (const dimension of DIMENSIONS) {
    const svg = scalePlot(dimension, rows);
    if (svg === null) continue;
    const file = join(dir, `scale-${dimension}.svg`);
    writeFileSync(file, svg);
    say(`drew ${file}`);
  }
}

process.exitCode = await main(process.argv.slice(2));
