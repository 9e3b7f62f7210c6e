/**
 * Where the database thread's JavaScript is during tests.
 *
 * Node 20 cannot run TypeScript in a worker thread, and vitest does not
 * transform what it starts; so tests use the file that `npm run build` made,
 * and build it when it is missing or older than its source.
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the thread and the child processes of these tests load. */
const ROOMS = [
  ...["src/core", "src/queue", "src/store", "src/store/embedded"],
  ...["src/wire", "src/wire/codec1", "src/aggregate"],
];

function isCurrent(): boolean {
  return ROOMS.every((room) =>
    readdirSync(join(ROOT, room)).every((name) => {
      if (!name.endsWith(".ts")) return true;
      const built = join(ROOT, "dist", room, name.replace(/\.ts$/, ".js"));
      return (
        existsSync(built) && statSync(built).mtimeMs >= statSync(join(ROOT, room, name)).mtimeMs
      );
    }),
  );
}

/** The compiled worker. tsc writes its output even when types elsewhere are wrong. */
export function embeddedWorkerUrl(): URL {
  if (!isCurrent()) {
    spawnSync("npx", ["tsc", "-p", "tsconfig.build.json"], { cwd: ROOT, stdio: "ignore" });
  }
  return new URL("../../dist/src/store/embedded/database-worker.js", import.meta.url);
}

/** A built file of this repository, for child processes that run plain JavaScript. */
export function builtFile(path: string): string {
  embeddedWorkerUrl();
  return join(ROOT, "dist", path);
}
