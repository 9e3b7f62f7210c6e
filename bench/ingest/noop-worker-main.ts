/**
 * A worker on our own queue that does nothing with what it is handed: what the way to the fold
 * costs without the fold. `node noop-worker-main.js <redis url> <shards>`; any message over IPC asks
 * it how many deltas it was handed.
 * @module
 */
import { silentLogger } from "../../src/observe/index.ts";
import { redisQueue } from "../../src/queue/index.ts";
import type { NoopMessage } from "./alternative-kinds.ts";

const [url = "", shardsText] = process.argv.slice(2);
const shards = Number(shardsText);
let deltas = 0;

const queue = await redisQueue({ url, shards, log: silentLogger });
for (let shard = 0; shard < shards; shard += 1) {
  const consumer = queue.consumer(shard, async (entries) => {
    deltas += entries.length;
  });
  await consumer.start();
}

const tell = (message: NoopMessage) => process.send?.(message);
process.on("message", () => tell({ kind: "handled", deltas }));
process.once("disconnect", () => process.exit(0));
tell({ kind: "ready" });
