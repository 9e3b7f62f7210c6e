/**
 * A gateway as an operator starts it, with its default limits, on a Redis of its own.
 * @module
 */
import { openStore, startGateway } from "../support/omega.ts";
import { stop } from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";

export type Stand = Awaited<ReturnType<typeof startStand>>;

async function startStand() {
  const redis = await startRedis();
  const gateway = await startGateway({ redisUrl: redis.url });
  const store = await openStore(redis.url);
  return {
    ...{ port: gateway.port, pid: gateway.pid, store },
    async end() {
      await store.close();
      await stop(gateway.child);
      await redis.stop();
    },
  };
}

/** Runs `act` on a stand of its own. */
export async function onStand<T>(act: (stand: Stand) => Promise<T>): Promise<T> {
  const stand = await startStand();
  try {
    return await act(stand);
  } finally {
    await stand.end();
  }
}
