/**
 * Child processes of a bench: started, read through /proc, and stopped by pid. What a bench leaves
 * behind when it ends, by whatever signal but SIGKILL: no process and no folder of its own.
 * @module
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** Clock ticks of /proc/PID/stat per second (USER_HZ), 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100;
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;
const POLL_MS = 20;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A shell's way to say which signal ended a program. */
const EXIT_BY_SIGNAL = 128;

/** For a server whose output nobody reads: a full pipe would stop it. */
export const QUIET: SpawnOptions = { stdio: ["ignore", "ignore", "inherit"] };
/** For a Node module that is told what to do by messages. */
export const WITH_IPC: SpawnOptions = { stdio: ["ignore", "ignore", "inherit", "ipc"] };

const children = new Set<ChildProcess>();
const scratch = new Set<string>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const dir of scratch) rmSync(dir, { recursive: true, force: true });
});
for (const signal of SIGNALS) {
  process.once(signal, () => process.exit(EXIT_BY_SIGNAL + constants.signals[signal]));
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
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await exited;
  clearTimeout(timer);
}

/** An empty folder under the system's temporary one; removed at the end, or by `remove` earlier. */
export function scratchFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "omega-bench-"));
  scratch.add(path);
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true });
      scratch.delete(path);
    },
  };
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

/**
 * The first message of a child with an IPC channel that `wanted` accepts. Rejects when it ends
 * before, or after `msMax`.
 */
export function firstMessage<Message, Wanted extends Message>(
  child: ChildProcess,
  wanted: (message: Message) => message is Wanted,
  { what, msMax }: { readonly what: string; readonly msMax: number },
): Promise<Wanted> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      clearTimeout(timer);
      child.off("message", listen).off("exit", ended);
      act();
    };
    const fail = (why: string) => finish(() => reject(new Error(`${what}: ${why}`)));
    const timer = setTimeout(() => fail(`nothing after ${msMax} ms`), msMax);
    const listen = (message: Message) => {
      if (wanted(message)) finish(() => resolve(message));
    };
    const ended = (code: number | null, signal: string | null) =>
      fail(`ended by ${signal ?? code}`);
    child.on("message", listen).once("exit", ended);
  });
}

/**
 * CPU of all threads of a process since its start, user and system, microseconds. The scheduler's
 * own count where the kernel tells it, because ticks of 10 ms are coarse for a run of a second.
 */
export function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const inTicksUs = ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_S;
  // Threads that have ended are in the ticks alone.
  return Math.max(inTicksUs, scheduledUs(pid));
}

function scheduledUs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
      ns += Number(text.split(" ", 1)[0]);
    } catch {
      return 0; // No such file in this kernel, or the thread has just ended.
    }
  }
  return ns / 1_000;
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

/** Waits for `isTrue`, asked every 20 ms; throws after `msMax`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  msMax = START_MS_MAX,
): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (!(await isTrue())) {
    if (performance.now() > untilMs) throw new Error(`gave up waiting for ${what}`);
    await sleep(POLL_MS);
  }
}
