/**
 * A process of the rig under a supervisor, as in production: when it ends it is started again.
 *
 *   started ─▶ up ──kill──▶ down for a while ─▶ up …      freeze: SIGSTOP, later SIGCONT
 *
 * An end that nobody asked for is written down: some are right (a server without its backend), a
 * crash is not, and the judge wants to know.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { start, until } from "../../bench/support/processes.ts";
import type { ServerClock } from "./server-clock.ts";

export interface PartSpec {
  readonly name: string;
  readonly command: string;
  /** Asked at each start. */
  readonly args: () => readonly string[];
  readonly logFile: string;
  /** Whether the process does its work. */
  readonly ready: (child: ChildProcess) => Promise<boolean>;
  /** Exit codes that are right when it cannot work at the moment. */
  readonly mayEndWith: readonly number[];
  /** Its wall clock, where that can be set; null or none: only a next life can have another. */
  readonly clock?: ServerClock | null;
  /** As whom it runs, and where. */
  readonly settings?: { readonly cwd: string; readonly uid?: number; readonly gid?: number };
  /** Talks to this process over IPC. */
  readonly ipc?: true;
}

/** What a supervisor waits before it starts a process that has ended, milliseconds. */
const RESTART_MS = 300;
const READY_MS_MAX = 60_000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export class Part {
  readonly name: string;
  /** Ends that nobody asked for and that are none of those that may be. */
  readonly crashes: string[] = [];
  /** Ends that nobody asked for. */
  gaveUp = 0;
  readonly #spec: PartSpec;
  #child: ChildProcess | null = null;
  #wanted = false;
  #killed = false;
  #downMs = RESTART_MS;
  #env: Readonly<Record<string, string>> = {};
  #thaw: NodeJS.Timeout | null = null;
  #restart: NodeJS.Timeout | null = null;

  constructor(spec: PartSpec) {
    this.#spec = spec;
    this.name = spec.name;
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<void> {
    this.#wanted = true;
    this.#launch();
    await this.ready();
  }

  /** Waits until it is ready, however often it has to be started for that. */
  ready(): Promise<void> {
    return until(`${this.name} to be ready`, () => this.isReady(), READY_MS_MAX);
  }

  isReady(): Promise<boolean> {
    const child = this.#child;
    return child === null ? Promise.resolve(false) : this.#spec.ready(child);
  }

  get clock(): ServerClock | null {
    return this.#spec.clock ?? null;
  }

  get child(): ChildProcess | null {
    return this.#child;
  }

  /** SIGKILL, and started again after `downMs`; false when it is down already. `env`: of its next lives. */
  kill(downMs: number, env: Readonly<Record<string, string>> = {}): boolean {
    if (this.#child === null) return false;
    this.#env = env;
    this.#downMs = downMs;
    this.#killed = true;
    this.#child.kill("SIGKILL");
    return true;
  }

  /** SIGTERM, and started again as soon as it has ended; false when it is down already. */
  terminate(): boolean {
    if (this.#child === null || this.#thaw !== null) return false;
    this.#killed = true;
    this.#child.kill("SIGTERM");
    return true;
  }

  /** SIGSTOP for `forMs`; false when it is down or stopped already. */
  freeze(forMs: number): boolean {
    if (this.#child === null || this.#thaw !== null) return false;
    this.#child.kill("SIGSTOP");
    this.#thaw = setTimeout(() => this.thaw(), forMs);
    return true;
  }

  thaw(): void {
    if (this.#thaw === null) return;
    clearTimeout(this.#thaw);
    this.#thaw = null;
    this.#child?.kill("SIGCONT");
  }

  /** False when nobody is there to hear it. */
  send(message: object): boolean {
    const child = this.#child;
    if (child?.connected !== true) return false;
    // One that has just ended no longer listens.
    child.send(message, () => {});
    return true;
  }

  /** For good: SIGTERM, and SIGKILL after `msMax`. Gives the exit code or the signal's name. */
  async stop(msMax = 5_000): Promise<number | string> {
    this.#wanted = false;
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.thaw();
    const child = this.#child;
    if (child === null) return 0;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), msMax);
    const [code, signal] = await ended;
    clearTimeout(timer);
    return (signal ?? code) as number | string;
  }

  #launch(): void {
    const { command, args, logFile, ipc, settings, clock } = this.#spec;
    const log = openSync(logFile, "a");
    const child = start(command, args(), {
      ...settings,
      stdio: ["ignore", log, log, ...(ipc ? (["ipc"] as const) : [])],
      serialization: "advanced",
      // Not the environment of who runs this: a variable of ours must not leak in.
      env: { PATH, ...clock?.env, ...this.#env },
    });
    closeSync(log);
    this.#child = child;
    child.once("exit", (code, signal) => this.#ended(code, signal));
  }

  #ended(code: number | null, signal: string | null): void {
    this.#child = null;
    if (this.#thaw !== null) clearTimeout(this.#thaw);
    this.#thaw = null;
    if (!this.#wanted) return;
    if (!this.#killed && signal !== "SIGKILL") {
      this.gaveUp += 1;
      const allowed = code !== null && this.#spec.mayEndWith.includes(code);
      if (!allowed) this.crashes.push(`${this.name} ended by itself with ${signal ?? code}`);
    }
    this.#restart = setTimeout(() => this.#launch(), this.#downMs);
    this.#killed = false;
    this.#downMs = RESTART_MS;
  }
}
