/**
 * `npm run bench:codec -- …args`: builds when needed, then measures the codec.
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "./prepare.mjs";

try {
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  await import(pathToFileURL(join(ROOT, "dist/bench/codec/main.js")).href);
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? 1;
}
