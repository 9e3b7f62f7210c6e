/**
 * An aggregator in a process of its own that kills itself, hard, at a given commit.
 *
 * argv[2]: JSON {url, shards, dieAt, when}. dieAt: the commit (from 1) at which to die, 0 = never.
 * Its deltas may wait a minute for one another: a dead process's jobs come back late and out of order.
 * when: "before" = between fold and commit, "after" = when the store has kept it and no job was told.
 */
import { Aggregator } from "../../dist/src/aggregate/index.js";
import { silentLogger } from "../../dist/src/observe/index.js";
import { redisQueue } from "../../dist/src/queue/index.js";
import { redisStore } from "../../dist/src/store/index.js";
import { loadZstd } from "../../dist/src/wire/index.js";

const { url, shards, dieAt, when } = JSON.parse(process.argv[2]);
let commits = 0;

const die = () => {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
};

const inner = await redisStore({ url, shards, log: silentLogger });
const store = new Proxy(inner, {
  get(target, name) {
    const value = Reflect.get(target, name, target);
    if (typeof value !== "function") return value;
    if (name !== "commit" || when !== "after") return value.bind(target);
    return async (...args) => {
      await target.commit(...args);
      if (commits === dieAt) await die();
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
  policy: { dimOf: () => 8 },
  settings: {
    leaseTtlMs: 1_000,
    tickMs: 200,
    commitIntervalMs: 20,
    commitEntriesMax: 16,
    deferMs: 60_000,
  },
  beforeCommit: async () => {
    commits += 1;
    if (when === "before" && commits === dieAt) await die();
  },
});
await aggregator.start();
process.stdout.write("ready\n");
