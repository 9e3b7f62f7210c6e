import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemRandom } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { HashWriter } from "../../src/store/hash-write.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { RedisConnection } from "../../src/store/redis-connection.ts";
import { script } from "../../src/store/script.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";
import { storeContract } from "./contract.ts";
import { crashContract } from "./contract-crash.ts";
import { outcomeOf, refusalOf } from "./observe.ts";
import {
  commitOf,
  fullCommitOf,
  keyOn,
  laddersOf,
  leaseReleaser,
  leaseShard,
  modelOf,
  recentOf,
  releaseOf,
  SHARDS,
} from "./samples.ts";

/** A device of shard 0. */
const KEY = keyOn(0);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function openRedis(url: string, timeoutMs = 5_000): Promise<Store> {
  return redisStore({ url, shards: SHARDS, log: silentLogger, timeoutMs });
}

storeContract(
  "Redis",
  async () => {
    const server = await startRedis();
    const admin = new Redis(server.url);
    return {
      async wipe() {
        await admin.flushall();
      },
      open: (options) => redisStore({ ...options, url: server.url, log: silentLogger }),
      // The time is Redis' own: it can only be waited for.
      elapse: sleep,
      async stop() {
        admin.disconnect();
        await server.stop();
      },
    };
  },
  { runs: 40 },
);

crashContract("Redis", async () => {
  const server = await startRedis({ appendfsync: "always" });
  return { ...server, open: () => openRedis(server.url) };
});

// "everysec" puts a write off while an earlier fsync is still under way, and so may lose what it
// answered when the process dies; what is left must be whole all the same.
crashContract('Redis with "everysec"', async () => {
  const server = await startRedis({ appendfsync: "everysec" });
  return { ...server, forgets: true, open: () => openRedis(server.url) };
});

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server?.stop();
});

test("redis store: a frozen Redis is a timeout, and the resend is done once", async () => {
  const store = await openRedis(server.url, 300);
  const token = await leaseShard(store, 0);
  const commit = fullCommitOf(KEY, 1);
  process.kill(server.pid(), "SIGSTOP");
  try {
    expect(await refusalOf(store.commit(0, token, 1, commit))).toBe("Timeout store.timeout");
  } finally {
    process.kill(server.pid(), "SIGCONT");
  }
  await waitFor(async () => (await outcomeOf(store.commit(0, token, 1, commit))) === "ok");
  expect(await store.stats(0)).toEqual(commit.stats);
  expect(await store.registers(KEY)).toEqual(commit.devices[0]?.registers);
  await store.close();
});

test("redis store: every write of a commit is a timeout before the silent socket is given up", async () => {
  const connection = new RedisConnection({
    ...{ url: server.url, timeoutMs: 300, random: systemRandom, log: silentLogger },
  });
  await connection.connect();
  let closed = false;
  connection.onClose(() => {
    closed = true;
  });
  const write = new HashWriter().write("hash", ["field"], [Buffer.from("value")]);
  if (write === null) throw new Error("a field was given");
  const commands = { guard: script("return 'go'"), keys: ["key"], args: [], commands: [write] };
  process.kill(server.pid(), "SIGSTOP");
  try {
    expect(await refusalOf(connection.guarded(commands))).toBe("Timeout store.timeout");
    expect(closed).toBe(false);
  } finally {
    process.kill(server.pid(), "SIGCONT");
    connection.close();
  }
});

test("P2: what was touched between guard and EXEC keeps the whole write from being done", async () => {
  const admin = new Redis(server.url);
  await admin.flushall();
  const connection = new RedisConnection({
    ...{ url: server.url, timeoutMs: 5_000, random: systemRandom, log: silentLogger },
  });
  await connection.connect();
  const guarded = (text: string) =>
    connection.guarded({
      guard: script(text),
      keys: ["other"],
      args: [],
      commands: [
        ["SET", "written", Uint8Array.of(0, 255)],
        ["SET", "written-too", 1],
      ],
    });
  const touched = guarded("redis.call('SET', KEYS[1], 'x') return 'go'");
  expect(await refusalOf(touched)).toBe("Transport store.unavailable");
  expect(await admin.exists("written", "written-too")).toBe(0);
  expect(await guarded("return 'go'")).toBe("ok");
  expect(await admin.getBuffer("written")).toEqual(Buffer.of(0, 255));
  connection.close();
  admin.disconnect();
});

test("P2: a refused commit writes nothing and leaves the fence for ever, whether anyone had a lease or not", async () => {
  const admin = new Redis(server.url);
  await admin.flushall();
  const store = await openRedis(server.url);
  const keys = () => admin.keys("omega:{s0}:*").then((found) => found.sort());
  expect(await outcomeOf(store.commit(0, 1, 1, fullCommitOf(KEY, 1)))).toBe("lease.lost");
  expect(await keys()).toEqual(["omega:{s0}:fence"]);
  const token = await leaseShard(store, 0);
  for (const number of [2, 7]) {
    const outcome = await outcomeOf(store.commit(0, token, number, fullCommitOf(KEY, number)));
    expect(outcome).toBe("commit.order");
  }
  expect(await outcomeOf(store.commit(0, token + 1, 1, fullCommitOf(KEY, 1)))).toBe("lease.lost");
  expect(await keys()).toEqual(["omega:{s0}:fence", "omega:{s0}:lease"]);
  expect(await admin.pttl("omega:{s0}:fence")).toBe(-1);
  expect(Number(await admin.get("omega:{s0}:fence"))).toBe(token);
  expect(await outcomeOf(store.commit(0, token, 1, fullCommitOf(KEY, 1)))).toBe("ok");
  admin.disconnect();
  await store.close();
});

test("P2: where memory is full a commit is refused whole, and done once there is room", async () => {
  const admin = new Redis(server.url);
  await admin.flushall();
  const store = await openRedis(server.url);
  const token = await leaseShard(store, 0);
  await admin.config("SET", "maxmemory", "1mb");
  try {
    const refused = await refusalOf(store.commit(0, token, 1, fullCommitOf(KEY, 1)));
    expect(refused).toBe("Transport store.unavailable");
    expect((await admin.keys("omega:{s0}:*")).sort()).toEqual([
      "omega:{s0}:fence",
      "omega:{s0}:lease",
    ]);
  } finally {
    await admin.config("SET", "maxmemory", "0");
  }
  expect(await outcomeOf(store.commit(0, token, 1, fullCommitOf(KEY, 1)))).toBe("ok");
  admin.disconnect();
  await store.close();
});

test("redis store: a lease that ends too far ahead was given under a wrong clock and keeps nobody out", async () => {
  const store = await openRedis(server.url);
  const admin = new Redis(server.url);
  await admin.flushall();
  const token = (await store.acquireLease("shard-0", "dead", 1_000)) ?? 0;
  await admin.pexpire("omega:{s0}:lease", 9 * 60_000);
  expect(await store.acquireLease("shard-0", "next", 1_000)).toBeNull();
  await admin.pexpire("omega:{s0}:lease", 60 * 60_000);
  expect(await store.acquireLease("shard-0", "next", 1_000)).toBeGreaterThan(token);
  expect(await admin.pttl("omega:{s0}:lease")).toBeLessThanOrEqual(1_000);
  expect(await outcomeOf(store.commit(0, token, 1, commitOf()))).toBe("lease.lost");
  admin.disconnect();
  await store.close();
});

test("redis store: scripts that Redis forgot are sent again", async () => {
  const store = await openRedis(server.url);
  const admin = new Redis(server.url);
  await admin.script("FLUSH");
  expect(await leaseShard(store, 1)).toBeGreaterThan(0);
  admin.disconnect();
  await store.close();
});

test("redis store: a release missed while the subscription was cut is told after it came back", async () => {
  const [store, other] = [await openRedis(server.url), await openRedis(server.url)];
  const admin = new Redis(server.url);
  const heard: number[] = [];
  await store.watch({ onRelease: (_tenant, version) => heard.push(version), onProblems() {} });
  const token = await leaseReleaser(other);
  await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
  await other.publishRelease("acme", token, releaseOf(1));
  await waitFor(() => heard.includes(1), { what: "the release that was missed" });
  await other.publishRelease("acme", token, releaseOf(2));
  await waitFor(() => heard.includes(2), { what: "the release after it" });
  admin.disconnect();
  await Promise.all([store.close(), other.close()]);
});

test("redis store: keys of one step share one hash tag", async () => {
  const admin = new Redis(server.url);
  await admin.flushall();
  const store = await openRedis(server.url);
  await store.commit(2, await leaseShard(store, 2), 1, commitOf());
  const token = await leaseReleaser(store);
  await store.publishRelease("acme", token, releaseOf(1));
  await store.putModel("acme", token, modelOf(1));
  const keys = (await admin.keys("*")).sort();
  expect(keys.every((key) => /^omega:\{(s2|racme|all)\}:[a-z]+$/.test(key))).toBe(true);
  expect(keys).toContain("omega:{s2}:fence");
  admin.disconnect();
  await store.close();
});

test("P5: what was staged and never shown is shown before anything else gets its number", async () => {
  const admin = new Redis(server.url);
  await admin.flushall();
  const store = await openRedis(server.url);
  const token = await leaseReleaser(store);
  await store.publishRelease("acme", token, releaseOf(1));
  await store.putModel("acme", token, modelOf(1));
  await admin.copy("omega:{racme}:current", "first");
  await store.publishRelease("acme", token, releaseOf(2));
  await store.putModel("acme", token, modelOf(2));
  // As it is when a releaser dies, or the master does, between the two steps.
  await admin.rename("omega:{racme}:current", "omega:{racme}:next");
  await admin.rename("first", "omega:{racme}:current");
  const second = await admin.lpopBuffer("omega:{racme}:releases");
  await admin.hset("omega:{racme}:next", { release: second ?? "" });
  const model = await admin.hgetBuffer("omega:{racme}:models", "2");
  await admin.hdel("omega:{racme}:models", "2");
  await admin.hset("omega:{racme}:models", { newest: "1" });
  await admin.hset("omega:{racme}:nextmodel", { version: "2", record: model ?? "" });
  expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(1)));
  expect(await store.model("acme", 2)).toBeNull();

  const heard: string[] = [];
  await store.watch({
    onRelease: (_tenant, version) => heard.push(`release ${version}`),
    onModel: (_tenant, version) => heard.push(`model ${version}`),
    onProblems() {},
  });
  const others = [
    await outcomeOf(store.publishRelease("acme", token, releaseOf(2, "acme", 7))),
    await outcomeOf(store.putModel("acme", token, modelOf(2, 7))),
  ];
  expect(others).toEqual(["release.version", "model.order"]);
  expect(await store.recentReleases("acme")).toEqual([2, 1].map((of) => recentOf(releaseOf(of))));
  expect(await store.models("acme")).toEqual([modelOf(2), modelOf(1)]);
  expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(2)));
  await waitFor(() => heard.includes("release 2") && heard.includes("model 2"));
  await store.publishRelease("acme", token, releaseOf(3));
  await store.putModel("acme", token, modelOf(3));
  expect((await admin.keys("omega:{racme}:next*")).length).toBe(0);
  admin.disconnect();
  await store.close();
});

test("redis store: nobody listening is 'store.unavailable', and a wrong URL names no password", async () => {
  expect(await refusalOf(openRedis("redis://127.0.0.1:1"))).toBe("Transport store.unavailable");
  const wrong = openRedis("http://user:hunter2@127.0.0.1:1");
  await expect(wrong).rejects.toThrow(/redis:\/\/ or rediss:\/\//);
  await expect(wrong).rejects.not.toThrow(/hunter2/);
});

test("redis store: another number of shards on the same state is refused", async () => {
  const store = await openRedis(server.url);
  const other = redisStore({ url: server.url, shards: SHARDS + 1, log: silentLogger });
  expect(await refusalOf(other)).toBe("InvalidConfig config.invalid");
  await store.close();
});
