/**
 * `npm run bench`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { runCommand } from "../support/command.ts";
import { machineName, today } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { figuresOf, type Report, textOf } from "./report.ts";
import { runRounds } from "./run.ts";

const RESULTS = "test/bench/results";

await runCommand("bench", async (args, say) => {
  const options = parseOptions(args);
  const runs = await runRounds(options, say);
  const date = today();
  const report: Report = { machine: machineName(), date, ...figuresOf(runs) };
  const json = `${JSON.stringify(report)}\n`;
  if (options.save) {
    const file = `${RESULTS}/${date}.json`;
    mkdirSync(RESULTS, { recursive: true });
    writeFileSync(file, json);
    say(`saved ${file}`);
  }
  process.stdout.write(options.json ? json : textOf(report));
});
