/**
 * `npm run demo -- …args`: from a fresh clone to the running product, with nothing but Node and npm.
 * @module
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Runs the demo as a child that owns the terminal; resolves to its exit code, or 128 + the signal. */
function execDemo(args) {
  return new Promise((resolve, reject) => {
    const main = join(ROOT, "dist/src/cli/main.js");
    const child = spawn(process.execPath, [main, "demo", ...args], { stdio: "inherit" });
    for (const signal of SIGNALS) {
      // A terminal sends Ctrl-C to the whole group; only a signal sent to us alone needs passing on.
      process.on(signal, () => {
        if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
      });
    }
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  process.exitCode = await execDemo(process.argv.slice(2));
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
