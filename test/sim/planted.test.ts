import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runCli } from "../cli/run-cli.ts";
import { BUGS } from "./planted/bugs.mjs";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
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
      const planted = "puback-before-enqueue,no-dedup,lost-tombstone";
      const args = ["sim", "--seeds", "1", "--planted", planted, "--json"];
      const { code, stdout } = await runCli(args);
      expect(JSON.parse(stdout)).toMatchObject({ seeds: 1, planted: { caught: 3, total: 3 } });
      expect(code).toBe(0);
    },
    TIMEOUT_MS,
  );
});
