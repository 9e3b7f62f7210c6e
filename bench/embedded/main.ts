/**
 * `npm run bench:embedded`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { runCommand } from "../support/command.ts";
import { reportOf, textOf } from "../support/report.ts";
import { parseOptions } from "./options.ts";
import { measureEmbedded } from "./run.ts";

await runCommand("bench:embedded", async (args, say) => {
  const options = parseOptions(args);
  const { rows, floors } = await measureEmbedded(options, say);
  const report = reportOf(rows, floors);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
});
