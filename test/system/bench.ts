/**
 * The built executable as real processes, with everything they need and leave behind.
 *
 * A bench owns one temporary directory, at most one Redis, and every process
 * started on it; closing it ends them by pid, whatever state the test left
 * them in.
 * @module
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { limits } from "../../src/core/index.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { type Running, run, runToEnd } from "../support/process.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const MAIN = join(ROOT, "dist/src/cli/main.js");
/** Starting Node, PGlite and BullMQ takes seconds when the machine is busy. */
const START_TIMEOUT_MS = 60_000;

/** Not the test's own environment: an `OMEGA_…` variable of the caller must not leak in. */
const ENVIRONMENT = { PATH: process.env.PATH, HOME: process.env.HOME };

/** The line that `--json` prints when all is up. */
export interface ReadyLine {
  readonly ready: string;
  readonly backend: string;
  readonly survives: string;
  readonly dataDir?: string;
  readonly tcp?: { readonly host: string; readonly port: number };
  readonly tls?: { readonly host: string; readonly port: number };
  readonly ws?: { readonly host: string; readonly port: number };
  readonly http?: { readonly host: string; readonly port: number };
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
}

/** A process that is ready, and what it said so far. */
export class OmegaProcess {
  readonly running: Running;
  readonly ready: ReadyLine;

  constructor(running: Running, ready: ReadyLine) {
    this.running = running;
    this.ready = ready;
  }

  get mqttPort(): number {
    return this.ready.tcp?.port ?? -1;
  }

  get httpPort(): number {
    return this.ready.http?.port ?? -1;
  }

  /** Status and text of an HTTP path; status 0 when nobody answers. */
  async get(path: string): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`);
      return { status: response.status, text: await response.text() };
    } catch {
      return { status: 0, text: "" };
    }
  }

  /** The sum of a metric over its labels, or over those lines that contain `label`. */
  async metric(name: string, label = ""): Promise<number> {
    const { text } = await this.get("/metrics");
    const lines = text.split("\n").filter((line) => /^[a-z_]+/.exec(line)?.[0] === name);
    const values = lines.filter((line) => line.includes(label)).map((line) => line.split(" ")[1]);
    return values.reduce((sum, value) => sum + Number(value), 0);
  }

  /** SIGTERM; resolves with the exit code when the process has drained and ended. */
  async terminate(): Promise<number | string> {
    this.running.child.kill("SIGTERM");
    return this.running.exited;
  }
}

export class Bench {
  readonly dir: TempDir = tempDir("omega-system-");
  readonly #started: Running[] = [];
  #redis: RedisServer | null = null;

  get redis(): RedisServer {
    if (this.#redis === null) throw new Error("this bench was opened without Redis");
    return this.#redis;
  }

  async startRedis(args: readonly string[] = []): Promise<RedisServer> {
    this.#redis = await startRedis({ args });
    return this.#redis;
  }

  /** Writes a file into the bench's directory and gives its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.dir.path, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** Runs `omega-sync` to its end. */
  omega(args: readonly string[], options: RunOptions = {}) {
    return runToEnd(process.execPath, [MAIN, ...args], this.#settings(options));
  }

  /** Any program in the background; it ends with the bench. */
  run(command: string, args: readonly string[], options: RunOptions = {}): Running {
    const running = run(command, args, this.#settings(options));
    this.#started.push(running);
    return running;
  }

  /** Starts `start`, `gateway` or `aggregator` on ports of its own and waits until it is ready. */
  async start(args: readonly string[], options: RunOptions = {}): Promise<OmegaProcess> {
    const running = this.run(process.execPath, [MAIN, ...args, "--json"], options);
    let ended = false;
    const onEnd = () => {
      ended = true;
    };
    running.exited.then(onEnd, onEnd);
    const line = await waitFor(
      () => {
        if (ended) throw new Error(`omega-sync ${args.join(" ")} ended: ${running.stderr()}`);
        return /^.*\n/.exec(running.stdout())?.[0];
      },
      { what: `omega-sync ${args[0]} to be ready`, timeoutMs: START_TIMEOUT_MS },
    );
    return new OmegaProcess(running, JSON.parse(line));
  }

  /** Ends everything this bench started. */
  async close(): Promise<void> {
    await Promise.all(this.#started.map((running) => running.kill()));
    await this.#redis?.stop();
    await this.dir.remove();
  }

  #settings({ env = {}, cwd = this.dir.path, input }: RunOptions) {
    return { cwd, env: { ...ENVIRONMENT, ...env }, ...(input === undefined ? {} : { input }) };
  }
}

/** A bench on the executable as the sources are now. */
export async function openBench(options: { readonly redis?: boolean } = {}): Promise<Bench> {
  await ensureBuilt();
  const bench = new Bench();
  if (options.redis === true) await bench.startRedis();
  return bench;
}

/** Ports of the system's choice for a gateway, `name=value` settings as `--set`. */
export function settings(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
}

export const ANY_PORTS = ["--port", "0", "--http-port", "0"] as const;

/**
 * A release from a single device's delta, in the golden frames' dimension and of any weight the wire
 * carries, within a second; no grace for a balancer.
 */
export const EAGER = settings({
  "gateway.drain.readyGraceMs": 0,
  "tenants.default.dim": 8,
  "tenants.default.weightMax": limits.WEIGHT_MAX,
  "tenants.acme.dim": 8,
  "tenants.acme.weightMax": limits.WEIGHT_MAX,
  "releaser.minDevices": 1,
  "releaser.cadenceMs": 300,
});
