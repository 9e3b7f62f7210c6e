import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { redisQueue } from "../../src/queue/index.ts";
import { startRedis } from "../support/redis.ts";
import { queueContract, type Rig } from "./contract.ts";
import { stuckProcess } from "./stuck-process.ts";

async function rig(appendfsync: "always" | "everysec"): Promise<Rig> {
  const server = await startRedis({ appendfsync });
  return {
    backend: (options) => redisQueue({ ...options, url: server.url }),
    async rawAdd(name, data, options) {
      const connection = new Redis(server.url, { maxRetriesPerRequest: null });
      await new Queue(name, { connection, prefix: "omega" }).add("raw", data, options);
      connection.disconnect();
    },
    stuckConsumer: (prefix) => stuckProcess("redis", prefix, server.url),
    // While an fsync is under way, "everysec" answers before it writes: durability.ts warns of it.
    killServer:
      appendfsync === "always"
        ? { kill9: () => server.kill9(), restart: () => server.restart() }
        : 'with "everysec" a kill -9 may take what Redis has answered',
    stop: () => server.stop(),
  };
}

queueContract("Redis, appendfsync everysec", () => rig("everysec"));
queueContract("Redis, appendfsync always", () => rig("always"));
