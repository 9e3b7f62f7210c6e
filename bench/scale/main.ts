/**
 * `npm run bench:scale`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand, type Say } from "../support/command.ts";
import { machineName, today } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { scalePlot } from "./plots.ts";
import { DIMENSIONS } from "./points.ts";
import { figuresOf, type Report, type Row, textOf } from "./report.ts";
import { runDimensions } from "./run.ts";

function writePlots(dir: string, rows: readonly Row[], say: Say): void {
  mkdirSync(dir, { recursive: true });
  for (const dimension of DIMENSIONS) {
    const svg = scalePlot(dimension, rows);
    if (svg === null) continue;
    const file = join(dir, `scale-${dimension}.svg`);
    writeFileSync(file, svg);
    say(`drew ${file}`);
  }
}

await runCommand("bench:scale", async (args, say) => {
  const options = parseOptions(args);
  const runs = await runDimensions(options, say);
  const date = today();
  const figures = figuresOf(runs, !options.quick);
  const report: Report = { machine: machineName(), date, ...figures };
  if (options.plots !== null) writePlots(options.plots, report.rows, say);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
});
