import { Queue } from "bullmq";
import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";
import { parseRedisClusterUrl } from "../../src/core/index.ts";
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
      const nodes = parseRedisClusterUrl(cluster.url)?.nodes ?? [];
      const connection = new Cluster([...nodes], { redisOptions: { maxRetriesPerRequest: null } });
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
      ...{ url: cluster.url, shards: 1, log: silentLogger, durability: "refuse" as const },
    });
    await expect(opening).rejects.toThrow(/appendfsync is everysec/);
  } finally {
    admin.disconnect();
    await cluster.stop();
  }
}, 60_000);
