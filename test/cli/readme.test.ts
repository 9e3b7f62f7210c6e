import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runCli } from "./run-cli.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const readme = read("README.md");

/** The fenced blocks of README in `language`. */
const blocksOf = (language: string) =>
  [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text = ""]) => text);

/** The command paths in README's table: `omega-sync start`, `gateway` gives start and gateway. */
const commandsOfTable = readme
  .split("\n")
  .filter((line) => line.startsWith("| `omega-sync "))
  .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)])
  .map(([, command = ""]) => command.replace(/^omega-sync /, ""));

describe("README", () => {
  it("README: the SDK example is the one that the tests run, apart from where it imports from", () => {
    const [block, ...more] = blocksOf("ts").filter((text) => text.includes("SyncClient"));
    expect(more).toEqual([]);
    const example = read("test/device/example.ts")
      .replace(/^\/\*\*.*\*\/\n/, "")
      .replace('"../../device/index.ts"', '"omega-sync"');
    expect(block).toBe(example);
    expect(block).toMatch(/^import \{ SyncClient \} from "omega-sync";\n/);
  });

  it("README: the package is what the example imports", () => {
    const { name, exports } = JSON.parse(read("package.json"));
    expect(name).toBe("omega-sync");
    expect(exports["."].default).toBe("./dist/device/index.js");
  });

  it("README: the table of commands was found", () => {
    expect(commandsOfTable).toEqual(expect.arrayContaining(["demo", "gateway", "frame decode"]));
  });

  it.each(commandsOfTable)("README: the program has the command %s", async (command) => {
    const { code, stdout, stderr } = await runCli([...command.split(" "), "--help"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout.split("\n")[0]).toMatch(new RegExp(`^Usage: omega-sync ${command}( |$)`));
  });

  it("README: every command of the program is in the table", async () => {
    const { stdout } = await runCli(["--help"]);
    const [, list = ""] = stdout.split("Commands:\n");
    const commands = [...list.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name);
    const known = new Set(commandsOfTable.map((command) => command.split(" ")[0]));
    expect(new Set(commands.filter((name) => name !== "help"))).toEqual(known);
  });
});
