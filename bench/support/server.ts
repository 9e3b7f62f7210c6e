/**
 * A server of a bench that is ended and started again: the same command, the same ports, another process.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { start, stop } from "./processes.ts";

export interface ServerOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Rejects when the process that was just started does not become what others may use. */
  readonly ready: (child: ChildProcess) => Promise<unknown>;
}

export class Server {
  readonly name: string;
  readonly #options: ServerOptions;
  #child: ChildProcess;

  private constructor(options: ServerOptions, child: ChildProcess) {
    this.name = options.name;
    this.#options = options;
    this.#child = child;
  }

  /** Starts it and waits until it is ready. */
  static async start(options: ServerOptions): Promise<Server> {
    return new Server(options, await launch(options));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** SIGTERM. Resolves when it has ended; rejects when that was not with exit code 0. */
  async terminate(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const [code, signal] = await ended;
    if (code !== 0) throw new Error(`${this.name} ended with ${signal ?? code} after SIGTERM`);
  }

  /** Starts it again after {@link terminate}; resolves when it is ready. */
  async startAgain(): Promise<void> {
    this.#child = await launch(this.#options);
  }

  /** For the end of the bench: whatever state it is in. */
  async end(): Promise<void> {
    await stop(this.#child);
  }
}

async function launch({ command, args, ready }: ServerOptions): Promise<ChildProcess> {
  const child = start(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    // HAProxy lives where a user's PATH often does not look.
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` },
  });
  // Nobody may stand still because nobody reads what it says.
  child.stdout?.resume();
  await ready(child);
  return child;
}
