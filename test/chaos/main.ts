/**
 * `npm run chaos`: the result to stdout, everything else to stderr.
 * @module
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand, type Say } from "../../bench/support/command.ts";
import { parseOptions } from "./options.ts";
import { reportOf, textOf } from "./report.ts";
import { type Outcome, runOn } from "./run.ts";
import type { Schedule } from "./schedule.ts";

const MINUTE_MS = 60_000;

await runCommand("chaos", async (args, tell) => {
  const say: Say = (line) =>
    tell(`${(performance.now() / 1_000).toFixed(0).padStart(4)} s  ${line}`);
  const options = parseOptions(args);
  const { system, set, beside, seed, devices, rate: deltasPerS, minutes } = options;
  const schedule =
    options.replay === null ? null : (JSON.parse(readFileSync(options.replay, "utf8")) as Schedule);
  const backends = schedule === null ? options.backends : [schedule.backend];
  const home = mkdtempSync(join(tmpdir(), "omega-chaos-"));
  // PostgreSQL runs as another user, who must find the way to its data.
  chmodSync(home, 0o755);
  say(`seed ${schedule?.seed ?? seed}, everything that is left is in ${home}`);
  const outcomes: Outcome[] = [];
  for (const backend of backends) {
    const dir = join(home, backend);
    mkdirSync(dir);
    const troubleMs = (minutes * MINUTE_MS) / backends.length;
    const where = { system, set, beside, backend, dir, say };
    outcomes.push(await runOn({ ...where, troubleMs, seed, devices, deltasPerS, schedule }));
  }
  const report = reportOf(outcomes);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
  const failed = report.violations.length > 0;
  if (!failed && !options.keep) rmSync(home, { recursive: true, force: true });
  if (failed) throw new Error(`something was violated: ${home} has schedules, histories and logs`);
});
