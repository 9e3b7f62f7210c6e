/**
 * `npm run fuzz -- …args`: builds when needed, then looks for input that crashes, stalls or bloats.
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(join(ROOT, "dist/fuzz/main.js")).href);
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
