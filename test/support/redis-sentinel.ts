/**
 * A real master and replica of the test's own, each a redis-server as redis.ts starts it, watched by real Sentinels.
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort, tempDir } from "./disk.ts";
import { run } from "./process.ts";
import { type RedisServer, startRedis } from "./redis.ts";
import { waitFor } from "./wait.ts";

export interface SentinelRedis {
  /** `redis+sentinel://…` */
  readonly url: string;
  /** The one that began as the master, then the one that began as its replica. */
  readonly servers: readonly [RedisServer, RedisServer];
  /** Whom the Sentinels call the master now. */
  master(): Promise<RedisServer>;
  replica(): Promise<RedisServer>;
  /** Resolves when `master` is not the master any more. */
  failedOver(master: RedisServer): Promise<void>;
  /** kill -9 of the master; resolves when the replica is the master and the killed one its replica. */
  failOver(): Promise<void>;
  /** Resolves when the replica gets the master's writes. */
  linked(): Promise<void>;
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const MASTER = "omega";
/** A full copy begins at once and not after five seconds. */
const QUICK = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];

/**
 * `downAfterMs`: how long a master is silent until its Sentinels hold it for dead; on a busy machine
 * a live one may be silent for a second.
 */
export async function startRedisSentinel(
  options: { readonly sentinels?: number; readonly downAfterMs?: number } = {},
): Promise<SentinelRedis> {
  const { sentinels = 1, downAfterMs = 1_500 } = options;
  const first = await startRedis({ args: QUICK });
  const second = await startRedis({
    args: [...QUICK, "--replicaof", "127.0.0.1", String(first.port)],
  });
  const servers = [first, second] as const;
  const watchers = await Promise.all(
    Array.from({ length: sentinels }, () => startSentinel(first.port, sentinels, downAfterMs)),
  );
  const ask = new Redis({ port: watchers[0]?.port ?? 0, retryStrategy: () => 100 });
  ask.on("error", () => {});
  const master = async () => {
    const [, port] = (await ask.call("SENTINEL", "get-master-addr-by-name", MASTER)) as string[];
    return first.port === Number(port) ? first : second;
  };
  const other = (server: RedisServer) => (server === first ? second : first);
  const replica = async () => other(await master());
  const failedOver = async (from: RedisServer) => {
    await waitFor(async () => (await master()) !== from, { what: "a new master" });
    // The word of the Sentinels comes before the server's own.
    await waitFor(() => infoOf(other(from), /^role:master/m), { what: "that it is one" });
  };
  const linked = async () => {
    const server = await replica();
    await waitFor(() => infoOf(server, /^master_link_status:up/m), { what: "a linked replica" });
  };
  await linked();
  await waitFor(
    async () =>
      Number(((await ask.call("SENTINEL", "replicas", MASTER)) as unknown[]).length) === 1,
    {
      what: "that the Sentinels know the replica",
    },
  );
  return {
    url: `redis+sentinel://${watchers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${MASTER}`,
    servers,
    master,
    replica,
    failedOver,
    failOver: async () => {
      const killed = await master();
      await killed.kill9();
      await failedOver(killed);
      await killed.restart("SIGKILL", ["--replicaof", "127.0.0.1", String(other(killed).port)]);
      await linked();
    },
    linked,
    flush: async () => {
      const admin = new Redis((await master()).url);
      await admin.flushall();
      admin.disconnect();
    },
    stop: async () => {
      ask.disconnect();
      await Promise.all([...watchers, ...servers].map((server) => server.stop()));
    },
  };
}

async function startSentinel(masterPort: number, sentinels: number, downAfterMs: number) {
  const port = await freePort();
  const dir = tempDir("omega-sentinel-");
  const file = join(dir.path, "sentinel.conf");
  const quorum = Math.floor(sentinels / 2) + 1;
  writeFileSync(
    file,
    [
      ...[`port ${port}`, "bind 127.0.0.1", `dir ${dir.path}`],
      `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} ${quorum}`,
      `sentinel down-after-milliseconds ${MASTER} ${downAfterMs}`,
      `sentinel failover-timeout ${MASTER} 5000`,
    ].join("\n"),
  );
  const process = run("redis-server", [file, "--sentinel"]);
  return {
    port,
    stop: async () => {
      await process.kill();
      await dir.remove();
    },
  };
}

async function infoOf(server: RedisServer, wanted: RegExp): Promise<boolean> {
  const admin = new Redis(server.url, { retryStrategy: () => null });
  admin.on("error", () => {});
  try {
    return wanted.test(await admin.info("replication"));
  } catch {
    return false;
  } finally {
    admin.disconnect();
  }
}
