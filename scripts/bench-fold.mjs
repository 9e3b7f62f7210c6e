/**
 * `npm run bench:fold -- …args`: builds when needed, then measures the fold.
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(join(ROOT, "dist/bench/fold/main.js")).href);
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
