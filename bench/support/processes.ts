/**
 * Child processes of a bench: started, read through /proc, and stopped by pid.
 * @module
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** Clock ticks of /proc/PID/stat per second (USER_HZ), 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100;
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;
const POLL_MS = 20;

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
// A signal alone would end this process without "exit", and leave the children behind.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => process.exit(code));
}

/** Starts a program that this process will not outlive. */
export function start(
  command: string,
  args: readonly string[],
  options: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] },
): ChildProcess {
  const child = spawn(command, [...args], options);
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

/** The first line of stdout that `wanted` accepts. Rejects when the program ends before it. */
export function firstLine(child: ChildProcess, wanted: (line: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const { stdout } = child;
    if (stdout === null) throw new Error("assertion failed: stdout is a pipe");
    const timer = setTimeout(() => reject(new Error("a server did not start")), START_MS_MAX);
    createInterface({ input: stdout }).on("line", (line) => {
      if (!wanted(line)) return;
      clearTimeout(timer);
      resolve(line);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`a server ended at its start with ${code}`));
    });
  });
}

/** CPU of all threads of a process since its start, user and system, microseconds. */
export function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_S;
}

/** Resident memory at this moment, bytes. */
export function rssBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** The most that was ever resident, bytes. */
export function rssPeakBytes(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

function statusBytes(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m");
  const found = line.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1] ?? 0) * 1024;
}

/** A TCP port on 127.0.0.1 that was free a moment ago. */
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

/** Resolves when `check` holds. Rejects when it does not within `msMax`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  msMax = START_MS_MAX,
): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (!(await check())) {
    if (performance.now() > untilMs) throw new Error(`waited ${msMax} ms for ${what}`);
    await sleep(POLL_MS);
  }
}

/** Resolves when somebody accepts connections on a port of 127.0.0.1. */
export function accepting(port: number, what: string): Promise<void> {
  const connects = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  return until(what, connects);
}
