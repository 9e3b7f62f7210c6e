/**
 * The version of this installation, from the package.json it was installed with.
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Looks upwards, because this file runs from `dist/src/cli` and, in tests, from `src/cli`. */
export function packageVersion(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const file = join(directory, "package.json");
    if (existsSync(file)) return String(JSON.parse(readFileSync(file, "utf8")).version);
    if (directory === dirname(directory)) return "unknown";
    directory = dirname(directory);
  }
}
