import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { BUGS } from "./planted/bugs.mjs";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const RUN = fileURLToPath(new URL("./planted/run.mjs", import.meta.url));
/** Three runs of the program on a copy of all sources. */
const TIMEOUT_MS = 120_000;

describe("planted bugs", () => {
  it.each(BUGS)("planted: the place of $name is there", ({ changes }) => {
    for (const { file, find } of changes) expect(read(file).split(find)).toHaveLength(2);
  });

  it("planted: the table of docs/simulation.md names every bug", () => {
    const named = [...read("docs/simulation.md").matchAll(/^\| `([a-z-]+)` +\|/gm)];
    expect(named.map(([, name]) => name)).toEqual(BUGS.map(({ name }) => name));
  });

  it(
    "planted: the simulator catches what is planted, and names it",
    async () => {
      const only = "puback-before-enqueue,no-dedup,lost-tombstone";
      const args = [RUN, "--only", only, "--seeds", "30", "--json"];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      expect(JSON.parse(stdout)).toMatchObject({ planted: { caught: 3, total: 3 } });
    },
    TIMEOUT_MS,
  );
});
