import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";

const MAIN = fileURLToPath(new URL("../../dist/bench/ingest/main.js", import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** Processes whose parent is `parent`. */
function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1]);
  } catch {
    return -1; // It has ended meanwhile.
  }
}

const isAlive = (pid: number) => parentOf(pid) !== -1;

describe("bench: its end", () => {
  it("bench: SIGTERM leaves no process and no folder", async () => {
    const temporary = mkdtempSync(join(tmpdir(), "omega-test-bench-"));
    const bench = spawn(process.execPath, [MAIN, "--quick", "--only", "aof-always"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, TMPDIR: temporary },
    });
    started.push(bench);
    const progress: string[] = [];
    bench.stderr.on("data", (chunk) => progress.push(String(chunk)));
    await waitFor(() => progress.join("").includes("round 0"), { timeoutMs: 60_000 });
    const children = childrenOf(bench.pid ?? -1);
    // Two of each of Redis, gateway and aggregator.
    expect(children.length).toBeGreaterThanOrEqual(6);
    expect(readdirSync(temporary)).toHaveLength(2);
    bench.kill("SIGTERM");
    const [code] = await once(bench, "exit");
    expect(code).toBe(143);
    await waitFor(() => !children.some(isAlive));
    expect(readdirSync(temporary)).toEqual([]);
    rmSync(temporary, { recursive: true });
  }, 90_000);
});
