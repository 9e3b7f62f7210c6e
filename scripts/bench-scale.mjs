/**
 * `npm run bench:scale -- …args`: builds when needed, then measures how the cost of a delta grows.
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(join(ROOT, "dist/bench/scale/main.js")).href);
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
