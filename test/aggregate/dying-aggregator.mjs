/**
 * An aggregator in a process of its own that kills itself, hard, at its first commit.
 *
 * argv[2]: JSON {url, shards, die}. die: "before" = between fold and commit, "after" = when the
 * store has kept it and no job was told, "never" = not at all.
 * Its deltas may wait a minute for one another: a dead process's jobs come back late and out of order.
 */
import { Aggregator } from "../../dist/src/aggregate/index.js";
import { silentLogger } from "../../dist/src/observe/index.js";
import { redisQueue } from "../../dist/src/queue/index.js";
import { redisStore } from "../../dist/src/store/index.js";
import { loadZstd } from "../../dist/src/wire/index.js";

const { url, shards, die: moment } = JSON.parse(process.argv[2]);

const die = () => {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
};

const inner = await redisStore({ url, shards, log: silentLogger });
const store = new Proxy(inner, {
  get(target, name) {
    const value = Reflect.get(target, name, target);
    if (typeof value !== "function") return value;
    if (name !== "commit" || moment !== "after") return value.bind(target);
    return async (...args) => {
      await target.commit(...args);
      await die();
    };
  },
});

const aggregator = new Aggregator({
  queue: await redisQueue({
    url,
    shards,
    log: silentLogger,
    consumer: { lockMs: 1_000, stalledCheckMs: 300 },
  }),
  store,
  zstd: await loadZstd(),
  policy: { dimOf: () => 8, weightMaxOf: () => 1_023 },
  settings: {
    leaseTtlMs: 1_000,
    tickMs: 200,
    commitIntervalMs: 20,
    commitEntriesMax: 16,
    deferMs: 60_000,
  },
  beforeCommit: async () => {
    if (moment === "before") await die();
  },
});
await aggregator.start();
process.stdout.write("ready\n");
