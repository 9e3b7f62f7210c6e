/**
 * `npm run bench:hostile`: the report to stdout, everything else to stderr.
 *
 * Exit codes: 0 every floor is met, 1 one is missed or a failure, 2 usage.
 * @module
 */
import { readFileSync } from "node:fs";
import { runCommand, type Say } from "../support/command.ts";
import { othersText, watchOthers } from "../support/machine.ts";
import { type Floor, type Row, reportOf, rounded, textOf } from "../support/report.ts";
import { declared } from "./declared.ts";
import { filters } from "./filters.ts";
import { frozen } from "./frozen.ts";
import { mixed } from "./mixed.ts";
import { parseOptions, type ScenarioName } from "./options.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { silent } from "./silent.ts";

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  ...{ declared, silent, frozen, filters, mixed },
};
/** A machine that is busy makes one run late; an attack that works does so each time. */
const ATTEMPTS = 3;
const TIMES = ["s", "ms"];
/** Clock ticks of 10 ms, as /proc counts CPU. */
const TICK_US = 10_000;

await runCommand("bench:hostile", async (args, say) => {
  const options = parseOptions(args);
  const othersSince = watchOthers();
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of options.scenarios) {
    const found = await judged(name, say);
    rows.push(...found.rows);
    floors.push(...found.floors);
  }
  const others = rounded(othersSince(ownUs()));
  say(othersText(others));
  rows.push({ scenario: "all", name: "cores that others used meanwhile", value: others, unit: "" });
  const report = reportOf(rows, floors);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
  const missed = floors.filter(({ met }) => !met).map((floor) => floor.name);
  if (missed.length > 0) throw new Error(`missed: ${missed.join("; ")}`);
});

/** The first attempt that is late in nothing, or the last one. What is no time is missed for good. */
async function judged(name: ScenarioName, say: Say): Promise<Findings> {
  for (let attempt = 1; ; attempt += 1) {
    say(`${name} …`);
    const found = await SCENARIOS[name](say);
    const missed = found.floors.filter(({ met }) => !met);
    const isLate = missed.length > 0 && missed.every(({ unit }) => TIMES.includes(unit));
    if (!isLate || attempt === ATTEMPTS) return found;
    say(`${name} was late, again: ${missed.map((floor) => floor.name).join("; ")}`);
  }
}

/** CPU of this process and of its children that have ended, µs. */
function ownUs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks * TICK_US;
}
