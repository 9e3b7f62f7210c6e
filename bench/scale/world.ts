/**
 * One point's servers and devices: a gateway, an aggregator and a Redis of their own, and a crowd.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { appliedOf, openStore, startAggregator, startGateway } from "../support/omega.ts";
import {
  cpuUs,
  firstMessage,
  rssBytes,
  start,
  stop,
  until,
  WITH_IPC,
} from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";
import type { Answer, CrowdOptions, Done, Order } from "./orders.ts";
import type { Shape } from "./points.ts";

export interface World {
  readonly shape: Shape;
  /** Has the crowd obey, and waits until all that it made durable is applied. */
  obey(order: Order): Promise<Done>;
  /** CPU since the start. */
  cpu(): CpuUs;
  aggregatorRssBytes(): number;
  /** What Redis holds, by its own count. */
  redisBytes(): Promise<number>;
  end(): Promise<void>;
}

/** Microseconds of each process. */
export interface CpuUs {
  readonly gateway: number;
  readonly redis: number;
  readonly aggregator: number;
  /** The crowd and this process, which are not the servers'. */
  readonly bench: number;
}

const CROWD = fileURLToPath(new URL("./crowd-main.js", import.meta.url));
const ORDER_MS_MAX = 300_000;
const APPLY_MS_MAX = 300_000;
/**
 * What is not the cost of a delta is switched off: releases, models, and the limit on logins, which
 * are not measured here.
 */
const SETTINGS = [
  ...["releaser.cadenceMs=86400000", "codec.learn=false"],
  ...["gateway.limits.connectsPerS=100000", "gateway.limits.connectsBurst=100000"],
  ...["gateway.drain.readyGraceMs=0", "gateway.drain.closeMs=0"],
];

export async function startWorld(shape: Shape): Promise<World> {
  const redis = await startRedis();
  const options = { redisUrl: redis.url, settings: [...SETTINGS, `shards=${shape.shards}`] };
  const [gateway, aggregator] = await Promise.all([
    startGateway(options),
    startAggregator(options),
  ]);
  const store = await openStore(redis.url, shape.shards);
  const crowdOptions: CrowdOptions = { shape, gatewayPort: gateway.port, redisUrl: redis.url };
  const crowd = start(process.execPath, [CROWD, JSON.stringify(crowdOptions)], WITH_IPC);
  const admin = new Redis(redis.url);
  let expected = 0;
  return {
    shape,
    async obey(order) {
      const answered = firstMessage(crowd, (_: Answer): _ is Answer => true, {
        what: `the crowd at "${order.kind}"`,
        msMax: ORDER_MS_MAX,
      });
      crowd.send(order);
      const answer = await answered;
      if (answer.kind === "failed") throw new Error(answer.why);
      expected += answer.done.acked;
      const isApplied = async () => (await appliedOf(store)) === expected;
      await until("every acked delta to be applied", isApplied, APPLY_MS_MAX);
      return answer.done;
    },
    cpu: () => ({
      gateway: cpuUs(gateway.pid),
      redis: cpuUs(redis.pid),
      aggregator: cpuUs(aggregator.pid),
      bench: cpuUs(crowd.pid ?? -1) + cpuUs(process.pid),
    }),
    aggregatorRssBytes: () => rssBytes(aggregator.pid),
    async redisBytes() {
      return Number(/^used_memory:(\d+)/m.exec(await admin.info("memory"))?.[1]);
    },
    async end() {
      admin.disconnect();
      await store.close();
      await stop(crowd);
      await Promise.all([stop(gateway.child), stop(aggregator.child)]);
      await redis.stop();
    },
  };
}
