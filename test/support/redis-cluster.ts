/**
 * A real Redis Cluster of the test's own: three masters, each a redis-server as redis.ts starts it.
 * @module
 */
import { Redis } from "ioredis";
import { freePort } from "./disk.ts";
import { runToEnd } from "./process.ts";
import { type RedisServer, startRedis } from "./redis.ts";
import { waitFor } from "./wait.ts";

export interface RedisCluster {
  readonly url: string;
  readonly servers: readonly RedisServer[];
  flush(): Promise<void>;
  kill9(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const MASTERS = 3;

export async function startRedisCluster(): Promise<RedisCluster> {
  const servers: RedisServer[] = [];
  for (let node = 0; node < MASTERS; node += 1) {
    const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
    const bus = ["--cluster-port", String(await freePort())];
    servers.push(await startRedis({ args: [...args, ...bus] }));
  }
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  const made = await runToEnd("redis-cli", [
    ...["--cluster", "create", ...addresses, "--cluster-yes"],
  ]);
  if (made.code !== 0) throw new Error(`no cluster: ${made.stdout}${made.stderr}`);
  const eachServer = (act: (server: RedisServer) => Promise<void>) =>
    Promise.all(servers.map(act)).then(() => {});
  const ready = () => eachServer(isReady);
  await ready();
  return {
    url: `redis+cluster://${addresses.join(",")}`,
    servers,
    flush: () =>
      eachServer((server) => withAdmin(server, async (admin) => void (await admin.flushall()))),
    kill9: () => eachServer((server) => server.kill9()),
    restart: async () => {
      await eachServer((server) => server.restart());
      await ready();
    },
    stop: () => eachServer((server) => server.stop()),
  };
}

function isReady(server: RedisServer): Promise<void> {
  return withAdmin(server, async (admin) => {
    await waitFor(
      async () => {
        const info = String(await admin.cluster("INFO"));
        return /cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info);
      },
      { what: `the cluster as node ${server.port} sees it`, timeoutMs: 30_000 },
    );
  });
}

async function withAdmin(server: RedisServer, act: (admin: Redis) => Promise<void>) {
  const admin = new Redis(server.url);
  try {
    await act(admin);
  } finally {
    admin.disconnect();
  }
}
