/**
 * `npm run bench:connections`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { runCommand } from "../support/command.ts";
import { type Floor, type Row, reportOf, textOf } from "../support/report.ts";
import { cost } from "./cost.ts";
import { fanout } from "./fanout.ts";
import { idle } from "./idle.ts";
import { known } from "./known.ts";
import { parseOptions, type ScenarioName } from "./options.ts";
import type { Scenario } from "./scenarios.ts";
import { storm } from "./storm.ts";

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  ...{ idle, cost, known, storm },
  release: fanout,
};
const QUICK_SHARE = 0.1;

await runCommand("bench:connections", async (args, say) => {
  const options = parseOptions(args);
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of options.scenarios) {
    say(`${name} …`);
    const found = await SCENARIOS[name]({ share: options.quick ? QUICK_SHARE : 1, say });
    rows.push(...found.rows);
    if (!options.quick) floors.push(...found.floors);
  }
  const report = reportOf(rows, floors);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
});
