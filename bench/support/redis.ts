/**
 * A redis-server of the bench's own: loopback, a free port, an append-only file in a scratch folder.
 * @module
 */
import { firstLine, freePort, scratchFolder, start, stop } from "./processes.ts";

/** "off": no file at all. */
export type Fsync = "everysec" | "always" | "off";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** A replica of the server at `replicaOf`, where that is given. Needs `redis-server` on the PATH. */
export async function startRedis(
  fsync: Fsync = "everysec",
  replicaOf?: number,
): Promise<RedisServer> {
  const port = await freePort();
  const dir = scratchFolder();
  const child = start("redis-server", [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir.path, "--save", ""],
    ...(fsync === "off" ? [] : ["--appendonly", "yes", "--appendfsync", fsync]),
    ...["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"],
    ...(replicaOf === undefined ? [] : ["--replicaof", "127.0.0.1", String(replicaOf)]),
    // A rewrite of the file is a process of its own, and would fall into some runs and not others.
    ...["--auto-aof-rewrite-percentage", "0"],
  ]);
  await firstLine(child, (line) => line.includes("Ready to accept connections"));
  return {
    ...{ url: `redis://127.0.0.1:${port}`, port, pid: child.pid ?? -1 },
    async stop() {
      await stop(child);
      dir.remove();
    },
  };
}
