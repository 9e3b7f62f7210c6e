/**
 * `npm run soak`: the tests that kill processes, at full length; about ten minutes.
 * @module
 */
import { join } from "node:path";
import { ROOT, run, runInstalled } from "./prepare.mjs";

const TESTS = ["kill-gateway", "kill-aggregator", "redis-cluster", "broker"].map(
  (name) => `test/system/${name}.system.test.ts`,
);

await runInstalled(async () => {
  const env = { ...process.env, OMEGA_SOAK: "1" };
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  process.exitCode = await run(process.execPath, [vitest, "run", ...TESTS], {
    ...{ env, stdio: "inherit" },
  });
});
