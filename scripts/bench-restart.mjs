/**
 * `npm run bench:restart -- …args`: builds when needed, then restarts servers under load.
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(join(ROOT, "dist/bench/restart/main.js")).href);
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
