/**
 * The executable as a user meets it: built, spawned, judged by its exit code and its streams.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { type TempDir, tempDir } from "../support/disk.ts";
import { runToEnd } from "../support/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAIN = join(ROOT, "dist/src/cli/main.js");

let dir: TempDir;
beforeAll(async () => {
  dir = tempDir("omega-main-");
  await ensureBuilt();
}, 120_000);
afterAll(() => dir.remove());

function omega(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return runToEnd(process.execPath, [MAIN, ...args], {
    cwd: dir.path,
    env: { PATH: process.env.PATH, ...env },
  });
}

describe("main: exit codes", () => {
  it.each([
    [["--version"], {}, 0],
    [["config", "check"], {}, 0],
    [["frame", "decode", join(ROOT, "test/golden/v1/pull.bin")], {}, 0],
    [["frame", "decode", join(ROOT, "package.json")], {}, 1],
    [["frame", "decode", "--nope"], {}, 2],
    [["config", "check"], { OMEGA_SHARD: "4" }, 78],
    [["config", "check"], { OMEGA_GATEWAY__TCP__HOST: "0.0.0.0" }, 78],
    [["token", "--device", "tv-1", "--secret-file", "gone"], {}, 78],
  ])("main: omega-sync %j with %j ends in %i", async (args, env, code) => {
    const result = await omega(args, env);
    expect(result.code, result.stderr).toBe(code);
  });

  it("main: --version is the version of the package", async () => {
    expect((await omega(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("main: it runs through a link, as npm installs it", async () => {
    const link = join(dir.path, "omega-sync");
    symlinkSync(MAIN, link);
    const { code, stdout } = await runToEnd(process.execPath, [link, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Usage: omega-sync");
  });

  it("main: a file in the working directory is found and its faults name it", async () => {
    writeFileSync(join(dir.path, "omega.yaml"), "gateway:\n  tcp:\n    prot: 1\n");
    const { code, stderr } = await omega(["config", "check"]);
    expect(code).toBe(78);
    expect(stderr).toContain("gateway.tcp.prot (omega.yaml:3): did you mean gateway.tcp.port?");
    writeFileSync(join(dir.path, "omega.yaml"), "");
  });

  it("main: a reader that closes early is no error", async () => {
    const child = spawn(process.execPath, [MAIN, "config", "print"], { cwd: dir.path });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(child, "close");
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});
