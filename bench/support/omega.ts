/**
 * The product's own processes, started as an operator starts them, on loopback.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { firstLine, freePort, start } from "./processes.ts";

export interface OmegaProcess {
  readonly child: ChildProcess;
  readonly pid: number;
}

/** The default of the setting `shards`. */
export const SHARDS = 4;
const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** Where it keeps its state, and settings as `path=value` over the defaults. */
export interface OmegaOptions {
  readonly redisUrl: string;
  readonly settings?: readonly string[];
}

/** Resolves when it is ready; devices connect to `port`. */
export async function startGateway(
  options: OmegaOptions,
): Promise<OmegaProcess & { readonly port: number }> {
  const port = await freePort();
  // Fifty connections stand for many more devices: none is to be slowed down as one.
  const free = ["--set", "gateway.limits.deltasPerDeviceS=0"];
  return { ...(await startOmega("gateway", ["--port", `${port}`, ...free], options)), port };
}

/** Resolves when it is ready. */
export function startAggregator(options: OmegaOptions): Promise<OmegaProcess> {
  return startOmega("aggregator", [], options);
}

async function startOmega(
  command: string,
  own: readonly string[],
  { redisUrl, settings = [] }: OmegaOptions,
): Promise<OmegaProcess> {
  const child = start(process.execPath, [
    ...[CLI, command, "--redis", redisUrl, "--http-port", `${await freePort()}`, "--json", ...own],
    ...["log.level=error", ...settings].flatMap((each) => ["--set", each]),
  ]);
  await firstLine(child, (line) => line.startsWith("{"));
  return { child, pid: child.pid ?? -1 };
}

/** The store of those processes, seen by the bench itself. */
export function openStore(redisUrl: string, shards = SHARDS): Promise<Store> {
  return redisStore({ url: redisUrl, shards, log: silentLogger });
}

/**
 * Deltas applied since the store exists. Throws when any was refused or came twice: a bench that
 * loads what a server does not take measures something else.
 */
export async function appliedOf(store: Store): Promise<number> {
  let applied = 0;
  for (let shard = 0; shard < store.shards; shard += 1) {
    const stats = await store.stats(shard);
    if (stats.deadLettered > 0) {
      const [letter] = await store.deadLetters(shard, 1);
      throw new Error(`a delta was dead-lettered: ${letter?.reason}, ${letter?.detail}`);
    }
    applied += stats.applied;
  }
  return applied;
}
