import { silentLogger } from "../../src/observe/index.ts";
import { redisStore } from "../../src/store/index.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { storeContract } from "./contract.ts";

storeContract(
  "Redis Cluster of three masters",
  async () => {
    const cluster = await startRedisCluster();
    return {
      wipe: () => cluster.flush(),
      open: (options) => redisStore({ ...options, url: cluster.url, log: silentLogger }),
      // The time is Redis' own: it can only be waited for.
      elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      stop: () => cluster.stop(),
    };
  },
  { runs: 20 },
);
