/**
 * `npm run bench:fold`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 measured (floors met or not: the report says which), 1 failure, 2 usage.
 * @module
 */

import { loadZstd } from "../../src/wire/index.ts";
import { runCommand } from "../support/command.ts";
import { type Floor, type Row, reportOf, textOf } from "../support/report.ts";
import { CASE_NAMES, makeCases } from "./frames.ts";
import { parseOptions, type ScenarioName } from "./options.ts";
import { cost, devices, type Findings, memory, type Scale, shards } from "./scenarios.ts";

const QUICK_SHARE = 0.2;
const SCENARIOS: Readonly<Record<ScenarioName, (scale: Scale) => Promise<Findings>>> = {
  ...{ cost, devices, memory, shards },
};

await runCommand("bench:fold", async (args, say) => {
  const options = parseOptions(args);
  const cases = makeCases(CASE_NAMES, await loadZstd());
  const scale: Scale = {
    share: options.quick ? QUICK_SHARE : 1,
    devices: options.devices,
    caseOf(name) {
      const found = cases.find((one) => one.name === name);
      if (found === undefined) throw new Error(`assertion failed: there is a case ${name}`);
      return found;
    },
    say,
  };
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of options.scenarios) {
    say(`${name} …`);
    const found = await SCENARIOS[name](scale);
    rows.push(...found.rows);
    if (!options.quick) floors.push(...found.floors);
  }
  const report = reportOf(rows, floors);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
});
