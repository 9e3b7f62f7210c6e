/**
 * A redis-server of the bench's own: loopback, a free port, an append-only file in a scratch folder.
 * @module
 */
import { firstLine, freePort, scratchFolder, start, stop } from "./processes.ts";

export type Fsync = "everysec" | "always";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Needs `redis-server` on the PATH. */
export async function startRedis(fsync: Fsync = "everysec"): Promise<RedisServer> {
  const port = await freePort();
  const dir = scratchFolder();
  const child = start("redis-server", [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir.path, "--save", ""],
    ...["--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction"],
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
