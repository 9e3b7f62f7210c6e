/**
 * A real redis-server of the test's own: loopback, free port, append-only file (fsync always), noeviction.
 * @module
 */
import { connect } from "node:net";
import { freePort, tempDir } from "./disk.ts";
import { type Running, run } from "./process.ts";
import { waitFor } from "./wait.ts";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  pid(): number;
  kill9(): Promise<void>;
  /**
   * Ends it, by SIGKILL when nothing else is said, and starts again on the same port and the same
   * append-only file, with `args` after those it had.
   */
  restart(signal?: NodeJS.Signals, args?: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startRedis(
  options: { readonly appendfsync?: "always" | "everysec"; readonly args?: readonly string[] } = {},
): Promise<RedisServer> {
  const port = await freePort();
  const dir = tempDir("omega-redis-");
  const args = [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir.path, "--save", ""],
    ...["--appendonly", "yes", "--appendfsync", options.appendfsync ?? "always"],
    ...["--maxmemory-policy", "noeviction", "--daemonize", "no", ...(options.args ?? [])],
  ];
  let server: Running;
  const start = async (more: readonly string[] = []) => {
    server = run("redis-server", [...args, ...more]);
    await waitFor(() => answersPing(port), { what: `redis-server on port ${port}` });
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: () => server.pid,
    kill9: () => server.kill("SIGKILL"),
    restart: async (signal = "SIGKILL", more = []) => {
      await server.kill(signal);
      await start(more);
    },
    stop: async () => {
      await server.kill("SIGKILL");
      await dir.remove();
    },
  };
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const finish = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once("data", (chunk) => finish(chunk.toString().startsWith("+PONG")));
    socket.once("error", () => finish(false));
    socket.setTimeout(1_000, () => finish(false));
  });
}
