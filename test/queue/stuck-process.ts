/**
 * Starts stuck-consumer.mjs and watches for the moment it holds a job.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { waitFor } from "../support/wait.ts";
import type { StuckProcess } from "./contract.ts";
import { builtFile } from "./embedded-worker-url.ts";

const SCRIPT = fileURLToPath(new URL("./stuck-consumer.mjs", import.meta.url));

export function stuckProcess(
  kind: "redis" | "postgres" | "embedded",
  prefix: string,
  url: string,
  onStart: (child: ChildProcess) => void = () => {},
): StuckProcess {
  const child = fork(SCRIPT, [builtFile("."), kind, prefix, url], {
    serialization: "advanced",
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onStart(child);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const holding = waitFor(
    () => {
      if (child.exitCode !== null) throw new Error(`the consumer process ended: ${stderr}`);
      return stdout.includes("holding");
    },
    { what: "the consumer process to hold a job", timeoutMs: 20_000 },
  ).then(() => {});
  holding.catch(() => {});
  return {
    holding,
    async kill9() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}
