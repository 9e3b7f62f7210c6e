import { Queue } from "bullmq";
import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/observe/index.ts";
import { redisQueue } from "../../src/queue/index.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { queueContract } from "./contract.ts";
import { stuckProcess } from "./stuck-process.ts";

queueContract("Redis Cluster of three masters", async () => {
  const cluster = await startRedisCluster();
  return {
    backend: (options) => redisQueue({ ...options, url: cluster.url }),
    async rawAdd(name, data, options) {
      const nodes = cluster.servers.map(({ port }) => ({ host: "127.0.0.1", port }));
      const connection = new Cluster(nodes, { redisOptions: { maxRetriesPerRequest: null } });
      await new Queue(name, { connection, prefix: "omega" }).add("raw", data, options);
      connection.disconnect();
    },
    stuckConsumer: (prefix) => stuckProcess("redis", prefix, cluster.url),
    killServer: { kill9: () => cluster.kill9(), restart: () => cluster.restart() },
    stop: () => cluster.stop(),
  };
});

test("one master of a cluster that could forget is enough to be refused", async () => {
  const cluster = await startRedisCluster();
  const admin = new Redis(cluster.servers[2]?.url ?? "");
  try {
    await admin.config("SET", "appendfsync", "everysec");
    const opening = redisQueue({
      ...{ url: cluster.url, shards: 1, log: silentLogger, unsafe: "refuse" as const },
    });
    await expect(opening).rejects.toThrow(/appendfsync is everysec/);
  } finally {
    admin.disconnect();
    await cluster.stop();
  }
}, 60_000);

test("P1: a job on a cluster holds its bytes itself, whatever a redirection may do", async () => {
  const cluster = await startRedisCluster();
  const backend = await redisQueue({ url: cluster.url, shards: 1, log: silentLogger });
  try {
    const producer = await backend.producer();
    const frame = Uint8Array.of(1, 2, 3);
    await producer.add(0, [{ key: { tenant: "t", device: "tv" }, receivedAtMs: 0, frame }]);
    const connections = cluster.servers.map(({ url }) => new Redis(url));
    const keys = await Promise.all(connections.map((connection) => connection.keys("*:logs")));
    for (const connection of connections) connection.disconnect();
    expect(keys.flat()).toEqual([]);
  } finally {
    await backend.close();
    await cluster.stop();
  }
}, 60_000);
