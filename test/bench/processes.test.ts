import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { columns } from "../../bench/support/columns.ts";
import {
  cpuUs,
  firstMessage,
  scratchFolder,
  start,
  stop,
  WITH_IPC,
} from "../../bench/support/processes.ts";

const isText = (message: unknown): message is string => typeof message === "string";
const run = (code: string) => start(process.execPath, ["-e", code], WITH_IPC);

describe("bench: processes", () => {
  it("bench: a child that says nothing is waited for so long and no longer", async () => {
    const child = run("process.on('message', () => {})");
    const limit = { what: "a silent child", msMax: 50 };
    await expect(firstMessage(child, isText, limit)).rejects.toThrow(
      /silent child: nothing after 50/,
    );
    await stop(child);
    expect(child.signalCode ?? child.exitCode).toBe("SIGTERM");
  });

  it("bench: a child that ends is not waited for, one that speaks is heard", async () => {
    const limit = { what: "a child", msMax: 60_000 };
    const ending = run("process.exit(3)");
    await expect(firstMessage(ending, isText, limit)).rejects.toThrow("a child: ended by 3");
    const speaking = run("process.send(1); process.send('hello'); process.on('message', () => {})");
    expect(await firstMessage(speaking, isText, limit)).toBe("hello");
    await stop(speaking);
  });

  it("bench: a scratch folder is there until it is removed", () => {
    const folder = scratchFolder();
    expect(existsSync(folder.path)).toBe(true);
    folder.remove();
    expect(existsSync(folder.path)).toBe(false);
  });

  it("bench: CPU counts up, and is what the process itself knows of", () => {
    const { user, system } = process.cpuUsage();
    const before = cpuUs(process.pid);
    // Whole ticks of 10 ms, where there is nothing finer.
    expect(before).toBeGreaterThan(user + system - 20_000);
    expect(cpuUs(process.pid)).toBeGreaterThanOrEqual(before);
  });

  it("bench: columns are as wide as their widest cell, flush where they are told", () => {
    const lines = [
      ["name", "value", ""],
      ["a", "1,000", "met"],
    ];
    expect(columns(lines, "lrl")).toBe("name  value\na     1,000  met");
  });
});
