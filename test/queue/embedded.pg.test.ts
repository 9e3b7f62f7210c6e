import { createPostgresBackend, Queue } from "bullmq";
import { postgresQueue } from "../../src/queue/index.ts";
import { childChannel, openEmbedded } from "../../src/store/embedded/index.ts";
import { tempDir } from "../support/disk.ts";
import { queueContract, type Rig } from "./contract.ts";
import { embeddedWorkerUrl } from "./embedded-worker-url.ts";
import { stuckProcess } from "./stuck-process.ts";

queueContract("the embedded database", async (): Promise<Rig> => {
  const dir = tempDir("omega-embedded-");
  const database = await openEmbedded({ dir: dir.path, workerUrl: embeddedWorkerUrl() });
  const { pool } = database;
  return {
    backend: (options) => postgresQueue({ ...options, kind: "embedded", pool }),
    async rawAdd(name, data, options) {
      const queue = new Queue(name, { connection: pool as never }, createPostgresBackend as never);
      await queue.add("raw", data, options);
      await queue.close();
    },
    stuckConsumer: (prefix) =>
      stuckProcess("embedded", prefix, "-", (child) => database.serve(childChannel(child))),
    killServer: "the embedded database has no server",
    async stop() {
      await database.close();
      await dir.remove();
    },
  };
});
