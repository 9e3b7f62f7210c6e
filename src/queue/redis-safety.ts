/**
 * Whether the Redis at the other end keeps what it acknowledges, asked at every connection: after
 * a restart or a fail-over it may be another one, or the same with other settings.
 * @module
 */
import { Cluster, type Redis } from "ioredis";
import { messageOf } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import { judgeDurability, redisFaults } from "./durability.ts";

export interface SafetyOptions {
  readonly unsafe: "refuse" | "warn" | "ignore";
  /** Replicas that must have each add. */
  readonly replicas: number;
  readonly log: Logger;
}

const UNTOLD =
  "Redis does not tell appendfsync, because CONFIG is not allowed: make sure that it is always";

export class RedisSafety {
  readonly #options: SafetyOptions;
  /** What was said already; each fault is said again only after it was gone. */
  #said = new Set<string>();

  constructor(options: SafetyOptions) {
    this.#options = options;
  }

  /**
   * Warns about each fault of the servers behind `client` that was not said yet, or throws
   * `InvalidConfigError` with all of them, as `unsafe` asks. Rejects as the client does.
   */
  async check(client: Redis | Cluster): Promise<void> {
    const { unsafe, replicas, log } = this.#options;
    if (unsafe === "ignore") return;
    const faults = new Set<string>();
    let untold = false;
    // A cluster keeps what it acknowledges only when each of its masters does.
    for (const server of client instanceof Cluster ? client.nodes("master") : [client]) {
      const appendfsync = await appendfsyncOf(server);
      untold ||= appendfsync === null;
      const found = redisFaults(await server.info(), appendfsync, replicas);
      for (const fault of found) faults.add(fault);
    }
    const said = this.#said;
    this.#said = new Set([...faults, ...(untold ? [UNTOLD] : [])]);
    if (untold && !said.has(UNTOLD)) log.warn("queue.durability", { fault: UNTOLD });
    const news = [...faults].filter((fault) => !said.has(fault));
    judgeDurability(news, unsafe, log);
  }

  /** Checks again whenever `client` connects anew; nothing is refused any more, only said. */
  watch(client: Redis | Cluster): void {
    const { log } = this.#options;
    client.on("ready", () => {
      this.check(client).catch((error: unknown) => {
        // A connection that ends meanwhile is followed by another, and refusing is for the start.
        log.warn("queue.durability", { fault: messageOf(error) });
      });
    });
  }
}

/** The server's `appendfsync`, or null where CONFIG is not allowed, as on many hosted servers. */
async function appendfsyncOf(server: Redis): Promise<string | null> {
  const answer: unknown = await server.config("GET", "appendfsync").catch(() => null);
  const value: unknown = Array.isArray(answer) ? answer[1] : null;
  return typeof value === "string" ? value : null;
}
