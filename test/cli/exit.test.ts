import { describe, expect, it } from "vitest";
import { exitCodeOf, reportError } from "../../src/cli/exit.ts";
import type { CliContext } from "../../src/cli/output.ts";
import {
  CompressionError,
  InvalidConfigError,
  NetworkError,
  ProtocolError,
  RetryExhaustedError,
  SerializationError,
  TimeoutError,
  TransportError,
} from "../../src/core/index.ts";
import { runCli } from "./run-cli.ts";

function report(thrown: unknown, json = false): { code: number; stderr: string } {
  let stderr = "";
  const stream = {
    write(text: string) {
      stderr += text;
    },
  };
  const context = { stderr: stream } as unknown as CliContext;
  return { code: reportError(context, { json }, thrown), stderr };
}

describe("exit: codes", () => {
  it.each([
    [new InvalidConfigError(["a is wrong"]), 78],
    [new NetworkError("network.refused", "no"), 69],
    [new TransportError("queue.down", "no"), 69],
    [new TimeoutError("queue.unknown", "no"), 69],
    [new RetryExhaustedError("connect.exhausted", "no"), 69],
    [new CompressionError("zstd.unavailable", "no"), 69],
    [new CompressionError("zstd.corrupt", "no"), 1],
    [new SerializationError("cbor.truncated", "no"), 1],
    [new ProtocolError("frame.magic", "no"), 1],
    [new TypeError("a bug"), 1],
    ["a string", 1],
  ])("exit: %s ends in %i", (thrown, code) => {
    expect(exitCodeOf(thrown)).toBe(code);
  });

  it.each([
    [["--help"], 0],
    [["--version"], 0],
    [["token", "--help"], 0],
    [["frame", "decode", "--help"], 0],
    [["config", "print", "--help"], 0],
    [[], 2],
    [["config"], 2],
    [["nonsense"], 2],
    [["config", "print", "--nonsense"], 2],
    [["token", "--secret-file", "x"], 2],
    [["config", "check"], 0],
    [["config", "check", "--set", "shards=0"], 78],
    [["frame", "decode", "/nonexistent/file"], 1],
  ])("exit: omega-sync %j ends in %i", async (args, code) => {
    const run = await runCli(args);
    expect(run.code, run.stderr).toBe(code);
    if (code !== 0) expect(run.stdout).toBe("");
    if (code !== 0) expect(run.stderr).not.toBe("");
  });

  it.each([
    [["nonsense"], "omega-sync --help"],
    [["fleet"], "omega-sync fleet --help"],
    [["config", "print", "--nonsense"], "omega-sync config --help"],
  ])("exit: who types omega-sync %j is shown to %s", async (args, help) => {
    expect((await runCli(args)).stderr).toContain(`(try '${help}')`);
  });

  it("exit: the help of every command shows examples", async () => {
    const namesIn = (help: string) =>
      [...help.slice(help.indexOf("\nCommands:")).matchAll(/^ {2}([a-z]+) /gm)]
        .map((match) => match[1] ?? "")
        .filter((name) => name !== "help");
    const paths: string[][] = [[]];
    let leaves = 0;
    for (const path of paths) {
      const { code, stdout } = await runCli([...path, "--help"]);
      expect(code).toBe(0);
      const children = stdout.includes("\nCommands:") ? namesIn(stdout) : [];
      paths.push(...children.map((name) => [...path, name]));
      if (children.length > 0) continue;
      leaves += 1;
      expect(stdout, path.join(" ")).toMatch(/^Examples:\n( {2}\$ .*\n?)+/m);
    }
    expect(leaves).toBeGreaterThanOrEqual(4);
  });
});

describe("exit: words", () => {
  it("exit: every fault of a configuration stands on its own line", () => {
    const { stderr } = report(new InvalidConfigError(["a is wrong", "b is worse"]));
    expect(stderr).toBe(
      "error: invalid configuration (2 faults)\n  - a is wrong\n  - b is worse\n",
    );
  });

  it("exit: an error names its code, its reason and its cause", () => {
    const cause = new Error("ECONNREFUSED");
    const { stderr } = report(new NetworkError("redis.refused", "cannot reach Redis", { cause }));
    expect(stderr).toContain("cannot reach Redis [Network: redis.refused]");
    expect(stderr).toContain("ECONNREFUSED");
  });

  it("exit: text from outside cannot command the terminal (THREATS 23)", () => {
    const { stderr } = report(new ProtocolError("topic.bad", "got a\u001b[2Jb\u202ec\nd"));
    for (const control of ["\u001b", "\u202e"]) expect(stderr).not.toContain(control);
    expect(stderr.trimEnd()).not.toContain("\n");
  });

  it("exit: --json makes the error one JSON object on one line", async () => {
    const { stdout, stderr, code } = await runCli(["config", "check", "--set", "x=1", "--json"]);
    expect(stdout).toBe("");
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: "InvalidConfig", reason: "config.invalid", faults: [expect.any(String)] },
      exitCode: 78,
    });
    expect(code).toBe(78);
  });

  it("exit: a bug shows its stack to people and its message to programs", () => {
    expect(report(new TypeError("oops")).stderr).toMatch(/TypeError: oops\n +at /);
    expect(JSON.parse(report(new TypeError("oops"), true).stderr)).toMatchObject({
      error: { code: "Internal", message: "oops" },
      exitCode: 1,
    });
  });
});
