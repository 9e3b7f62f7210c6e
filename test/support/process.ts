/**
 * Child processes of a test: started, watched, and stopped by pid.
 * @module
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything printed so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** Sends the signal and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export function run(command: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(command, [...args], { stdio: ["pipe", "pipe", "pipe"], ...options });
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  running.add(child);
  const exited = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve(code ?? signal ?? "unknown");
    });
  });
  exited.catch(() => {});
  return {
    child,
    pid: child.pid ?? -1,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    async kill(signal = "SIGKILL") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, "close");
      child.kill(signal);
      await closed;
    },
  };
}

/** Runs to the end and gives the exit code with what was printed. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string | Uint8Array } = {},
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const { input, ...rest } = options;
  const process = run(command, args, rest);
  process.child.stdin?.on("error", () => {});
  process.child.stdin?.end(input);
  const code = await process.exited;
  return { code, stdout: process.stdout(), stderr: process.stderr() };
}
