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

/** -1 when it has ended, even if nobody has taken note of it yet. */
function parentOf(pid: number): number {
  try {
    const [state, parent] =
      readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return state === "Z" ? -1 : Number(parent);
  } catch {
    return -1;
  }
}

const isAlive = (pid: number) => parentOf(pid) !== -1;

describe("bench: its end", () => {
  it("bench: SIGTERM leaves no process and no folder", async () => {
    const temporary = mkdtempSync(join(tmpdir(), "omega-test-bench-"));
    const bench = spawn(process.execPath, [MAIN, "--quick", "--only", "aof-always"], {
      stdio: "ignore",
      env: { ...process.env, TMPDIR: temporary },
    });
    started.push(bench);
    // Redis, gateway and aggregator of the first system.
    const children = await waitFor(
      () => {
        const found = childrenOf(bench.pid ?? -1);
        return found.length >= 3 ? found : null;
      },
      { timeoutMs: 60_000 },
    );
    expect(readdirSync(temporary)).toHaveLength(1);
    bench.kill("SIGTERM");
    const [code] = await once(bench, "exit");
    expect(code).toBe(143);
    await waitFor(() => !children.some(isAlive));
    expect(readdirSync(temporary)).toEqual([]);
    rmSync(temporary, { recursive: true });
  }, 90_000);
});
