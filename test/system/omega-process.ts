/**
 * One process of the product that a test may kill: the built executable, or a script composed from the build.
 *
 *   start ─▶ waits for the line {"ready": …} ─▶ kill9 (SIGKILL) | stop (SIGTERM) ─▶ start again
 *
 * Given an embedded database, the process reaches it through its parent, which
 * is the test: the database then outlives whatever is killed.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { childChannel, type EmbeddedDatabase } from "../../src/store/index.ts";

export const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const OMEGA_SYNC = join(DIST, "src/cli/main.js");
const READY_TIMEOUT_MS = 90_000;

export interface OmegaProcessOptions {
  /** Default: the executable. */
  readonly script?: string;
  readonly args: readonly string[];
  readonly database: EmbeddedDatabase | null;
}

const alive = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

export class OmegaProcess {
  readonly #options: OmegaProcessOptions;
  #child: ChildProcess | null = null;
  #ended: Promise<number | string> = Promise.resolve(0);
  #stderr = "";

  constructor(options: OmegaProcessOptions) {
    this.#options = options;
  }

  /** The exit code or the signal's name of the last process started. */
  get ended(): Promise<number | string> {
    return this.#ended;
  }

  /** The last words of all processes started here. */
  get stderr(): string {
    return this.#stderr.slice(-4_000);
  }

  /** Starts it and waits until it says that it is ready. */
  async start(): Promise<void> {
    const child = this.launch();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => fail("is not ready in time"), READY_TIMEOUT_MS);
      const fail = (why: string) => reject(new Error(`${this.#name} ${why}: ${this.stderr}`));
      let stdout = "";
      child.stdout?.on("data", (chunk) => {
        stdout += chunk;
        if (!/^\{"ready":.*\n/m.test(stdout)) return;
        clearTimeout(timer);
        resolve();
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended with ${signal ?? code} before it was ready`);
      });
    });
  }

  /** Starts it without waiting for anything. */
  launch(): ChildProcess {
    const { script, args, database } = this.#options;
    const child = fork(script ?? OMEGA_SYNC, args, {
      // Neither an omega.yaml nor a variable of the machine may have a say.
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      execArgv: [],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.#child = child;
    alive.add(child);
    this.#ended = once(child, "exit").then(([code, signal]) => {
      alive.delete(child);
      return (signal ?? code) as number | string;
    });
    child.stderr?.on("data", (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-8_000);
    });
    if (database !== null) database.serve(childChannel(child));
    return child;
  }

  /** kill -9: no drain, no flush, no goodbye. */
  async kill9(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Asks it to end; resolves with its exit code, or the name of the signal that ended it. */
  stop(): Promise<number | string> {
    return this.#end("SIGTERM");
  }

  #end(signal: NodeJS.Signals): Promise<number | string> {
    this.#child?.kill(signal);
    this.#child = null;
    return this.#ended;
  }

  get #name(): string {
    return this.#options.script ?? `omega-sync ${this.#options.args[0]}`;
  }
}
