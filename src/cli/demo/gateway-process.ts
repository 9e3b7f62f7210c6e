/**
 * The demo's gateway as a process of its own, so that it can be killed for real.
 *
 * With the embedded backend the database stays in the parent and the child
 * reaches it over its IPC channel; SIGKILL of the child then loses nothing but
 * the child.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Clock, sleep, TransportError } from "../../core/index.ts";
import { childChannel, type EmbeddedDatabase } from "../../store/index.ts";

export interface GatewayProcessOptions {
  /** `OMEGA_…` settings; secrets travel here and never on the command line. */
  readonly env: Readonly<Record<string, string>>;
  /** Shared with the child when given. */
  readonly database: EmbeddedDatabase | null;
  /** Where `/readyz` will answer. */
  readonly httpPort: number;
  readonly clock: Clock;
}

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

export class GatewayProcess {
  readonly #options: GatewayProcessOptions;
  #child: ChildProcess | null = null;

  constructor(options: GatewayProcessOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and waits until it is ready. Rejects with `TransportError("gateway.start")` when it is not in 30 s. */
  async start(): Promise<void> {
    const { env, database, clock } = this.#options;
    const child = fork(
      MAIN,
      ["gateway", "--json", ...(database === null ? [] : ["--from-parent"])],
      {
        env: { PATH: "/usr/bin:/bin", ...env },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
        serialization: "advanced",
      },
    );
    this.#child = child;
    if (database !== null) database.serve(childChannel(child));
    const deadlineMs = clock.monotonicMs() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null || clock.monotonicMs() > deadlineMs) {
        throw new TransportError(
          "gateway.start",
          `the gateway did not become ready: ${ended ?? "too slow"}`,
        );
      }
      await sleep(clock, POLL_MS);
    }
  }

  /** kill -9: no drain, no flush, no goodbye. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#options.httpPort}/readyz`);
      return response.ok;
    } catch {
      return false;
    }
  }
}
