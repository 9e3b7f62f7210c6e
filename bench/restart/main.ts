/**
 * `npm run bench:restart`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */
import { runCommand } from "../support/command.ts";
import { type Floor, type Row, reportOf, textOf } from "../support/report.ts";
import { drain } from "./drain.ts";
import { parseOptions, type ScenarioName } from "./options.ts";
import { rolling } from "./rolling.ts";
import type { Scenario } from "./scenarios.ts";

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = { drain, rolling };

await runCommand("bench:restart", async (args, say) => {
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
});
