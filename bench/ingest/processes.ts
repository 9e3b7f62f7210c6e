/**
 * Child processes of the bench: started, measured through /proc, and stopped by pid.
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Of /proc/PID/stat; Linux has had no other value on any platform of ours. */
const TICKS_PER_S = 100;
const START_MS_MAX = 20_000;
const STOP_MS_MAX = 10_000;
const POLL_MS = 20;

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Starts a program whose stdout and stderr nobody needs, or a Node module with IPC. */
export function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, [...args], { stdio: ["ignore", "ignore", "inherit"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.once("error", (error) => process.stderr.write(`bench: ${command}: ${error.message}\n`));
  return child;
}

/** SIGTERM, and SIGKILL when that was not enough. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await exited;
  clearTimeout(timer);
}

/** CPU of all threads of `pids` together, user and system, microseconds. */
export function cpuUs(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  return (ticks.reduce((sum, value) => sum + value, 0) * 1e6) / TICKS_PER_S;
}

/** Resident memory of `pids` together, MiB. */
export function rssMiB(pids: readonly number[]): number {
  const kiB = pids.map((pid) => {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(match?.[1] ?? 0);
  });
  return kiB.reduce((sum, value) => sum + value, 0) / 1024;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Waits until something accepts on `port`. */
export function accepting(port: number, what: string): Promise<void> {
  return until(`${what} on port ${port}`, () => {
    return new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      const finish = (isUp: boolean) => {
        socket.destroy();
        resolve(isUp);
      };
      socket.once("connect", () => finish(true)).once("error", () => finish(false));
    });
  });
}

/** Waits for `isTrue`; throws after 20 s. */
export async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + START_MS_MAX;
  while (!(await isTrue())) {
    if (performance.now() > untilMs) throw new Error(`gave up waiting for ${what}`);
    await sleep(POLL_MS);
  }
}
