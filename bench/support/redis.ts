/**
 * A redis-server of the bench's own: loopback, a free port, an append-only file that is synced every second.
 * @module
 */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstLine, freePort, start, stop } from "./processes.ts";

export interface RedisServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Needs `redis-server` on the PATH. */
export async function startRedis(): Promise<RedisServer> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "omega-bench-redis-"));
  const child = start("redis-server", [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""],
    ...["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"],
  ]);
  await firstLine(child, (line) => line.includes("Ready to accept connections"));
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? -1,
    async stop() {
      await stop(child);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
