/**
 * The store where Sentinels say who the master is: what a fail-over that loses the last writes may not take with it.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger as log } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { type SentinelRedis, startRedisSentinel } from "../support/redis-sentinel.ts";
import { waitFor } from "../support/wait.ts";
import { storeContract } from "./contract.ts";
import { outcomeOf } from "./observe.ts";
import {
  commitOf,
  cursorOf,
  deviceOf,
  held,
  keyOn,
  laddersOf,
  leaseReleaser,
  leaseShard,
  modelOf,
  releaseOf,
  SHARDS,
  TTL_MS,
} from "./samples.ts";

storeContract(
  "Redis behind Sentinels, with a replica",
  async () => {
    const redis = await startRedisSentinel();
    return {
      wipe: () => redis.flush(),
      open: (options) => redisStore({ ...options, url: redis.url, log, replicas: 1 }),
      // The time is Redis' own: it can only be waited for.
      elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      stop: () => redis.stop(),
    };
  },
  { runs: 10 },
);

const LONG = 60_000;
let redis: SentinelRedis;
let store: Store;
beforeAll(async () => {
  redis = await startRedisSentinel();
}, LONG);
beforeEach(async () => {
  store = await redisStore({ url: redis.url, shards: SHARDS, log, replicas: 1 });
});
afterEach(() => store?.close());
afterAll(() => redis?.stop(), LONG);

/** While `act` runs the replica is away; then the master dies, and the replica, without all that, is the next one. */
async function losing(act: () => Promise<void>): Promise<void> {
  const [master, replica] = [await redis.master(), await redis.replica()];
  // Frozen it would find what was sent to it in its socket.
  await replica.kill9();
  await act();
  await master.kill9();
  await replica.restart("SIGKILL", ["--replicaof", "127.0.0.1", String(master.port)]);
  await redis.failedOver(master);
  await master.restart("SIGKILL", ["--replicaof", "127.0.0.1", String(replica.port)]);
  await redis.linked();
  await waitFor(async () => (await outcomeOf(store.tenants())) === "ok", { what: "the store" });
}

test(
  "P1 P2 P5 P6: what replicas do not have is neither shown nor said to be done, and a fail-over loses nothing else",
  async () => {
    const key = keyOn(0);
    const commit = commitOf({ devices: [deviceOf(key, cursorOf(1))] });
    const shardToken = await leaseShard(store, 0);
    await store.commit(0, shardToken, 1, commit);
    const token = await leaseReleaser(store);
    await store.publishRelease("acme", token, releaseOf(1));
    await store.putModel("acme", token, modelOf(1));
    const next = commitOf({ devices: [deviceOf(key, cursorOf(2))] });

    await losing(async () => {
      const outcomes = await Promise.all([
        outcomeOf(store.commit(0, shardToken, 2, next)),
        outcomeOf(store.publishRelease("acme", token, releaseOf(2))),
        outcomeOf(store.putModel("acme", token, modelOf(2))),
        outcomeOf(store.acquireLease("another", "owner", TTL_MS)),
      ]);
      expect(outcomes).toEqual(Array.from({ length: 4 }, () => "store.unreplicated"));
      expect(await store.cursors([key])).toEqual([cursorOf(1)]);
      expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(1)));
      expect(await store.model("acme", 2)).toBeNull();
    });

    expect(await store.cursors([key])).toEqual([cursorOf(1)]);
    await store.commit(0, shardToken, 2, next);
    // Nobody was shown the first content of version 2, so it is free for another.
    await store.publishRelease("acme", token, releaseOf(2, "acme", 7));
    expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(2, "acme", 7)));
    await store.putModel("acme", token, modelOf(2, 7));
    expect(await store.model("acme", 2)).toEqual(modelOf(2, 7).bytes);
    held(await store.acquireLease("another", "other", TTL_MS));
  },
  LONG,
);
