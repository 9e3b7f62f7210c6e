/**
 * What `start`, `gateway` and `aggregator` share: configuration, backend, logs, and the run itself.
 * @module
 */
import type { Command } from "commander";
import type { Service } from "../core/index.ts";
import { createLogger, createMetrics } from "../observe/index.ts";
import { loadZstd } from "../wire/index.ts";
import { type OpenBackend, openBackend } from "./compose/backend.ts";
import { openHistory, recordedBackend } from "./compose/history.ts";
import type { Parts } from "./compose/services.ts";
import { addConfigOptions, type ConfigOptions, type FlagSetting, readConfig } from "./config.ts";
import { type CliContext, printRemark, toJson } from "./output.ts";
import { runServices } from "./run-services.ts";

export interface ServeOptions extends ConfigOptions {
  readonly redis?: string;
  readonly postgres?: string;
  readonly durability?: string;
  readonly dataDir?: string;
  readonly port?: string;
  readonly httpPort?: string;
  readonly broker?: string;
  readonly fromParent?: boolean;
  readonly json?: boolean;
}

/** The flags that name a backend. */
export function addBackendOptions(command: Command): Command {
  return addConfigOptions(command)
    .option(
      "--redis <url>",
      "keep queue and state in Redis: redis://host:6379, redis+sentinel://host:26379/master",
    )
    .option("--postgres <url>", "keep queue and state in PostgreSQL: postgres://user@host/db")
    .option("--durability <what>", "what a PUBACK waits for: memory, aof or replicated");
}

type Role = "start" | "gateway" | "aggregator";

/** Those flags as settings. In `start` one HTTP listener serves all rooms, the gateway's. */
export function backendFlags(options: ServeOptions, role: Role = "start"): FlagSetting[] {
  const http = role === "aggregator" ? "aggregator.http" : "gateway.http";
  return [
    { path: "backend", flag: "--redis", text: options.redis },
    { path: "backend", flag: "--postgres", text: options.postgres },
    { path: "durability", flag: "--durability", text: options.durability },
    { path: "dataDir", flag: "--data-dir", text: options.dataDir },
    { path: "gateway.tcp.port", flag: "--port", text: options.port },
    { path: "gateway.broker.url", flag: "--broker", text: options.broker },
    { path: `${http}.port`, flag: "--http-port", text: options.httpPort },
  ];
}

/** Runs what `compose` makes until a signal. `describe` gives the facts of the banner once all is up. */
export async function serve(
  context: CliContext,
  options: ServeOptions,
  role: Role,
  compose: (parts: Parts) => Promise<{
    readonly services: readonly Service[];
    readonly describe: () => Readonly<Record<string, unknown>>;
  }>,
): Promise<void> {
  const { config } = readConfig(context, options, backendFlags(options, role));
  const log = createLogger({ level: config.log.level, name: `omega-${role}` });
  const metrics = createMetrics({ processMetrics: true });
  const { promise: broken, reject: onCrash } = rejection();
  const zstd = await loadZstd();
  const history = openHistory(config.history);
  const opened = await openBackend({
    ...{ config, log, metrics, onCrash },
    fromParent: options.fromParent === true,
  });
  const backend = recordedBackend(opened, history);
  try {
    const parts = { config, backend, zstd, log, metrics, history };
    const { services, describe } = await compose(parts);
    const onStarted = () => announce(context, options, role, { ...facts(backend), ...describe() });
    await runServices(services, { log, onStarted, broken });
  } finally {
    await backend.close();
    history?.close();
  }
}

function facts(backend: OpenBackend): Record<string, unknown> {
  const { kind, durability, survives } = backend;
  return { backend: kind, durability, survives };
}

/** With `--json` one line on stdout, so that a script can wait for it; else words on stderr. */
function announce(
  context: CliContext,
  options: ServeOptions,
  role: string,
  facts: Readonly<Record<string, unknown>>,
): void {
  if (options.json) context.stdout.write(`${toJson({ ready: role, ...facts })}\n`);
  const words = Object.entries(facts).map(([name, value]) => {
    return `  ${name}: ${typeof value === "string" ? value : toJson(value)}`;
  });
  printRemark(context, options, [`omega-sync ${role} is ready`, ...words].join("\n"));
}

function rejection(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  promise.catch(() => {});
  return { promise, reject };
}
