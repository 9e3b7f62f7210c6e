import { createPostgresBackend, Queue } from "bullmq";
import { postgresQueue } from "../../src/queue/index.ts";
import { openPostgresPool } from "../../src/store/postgres-pool.ts";
import { startPostgres } from "../support/postgres.ts";
import { queueContract, type Rig } from "./contract.ts";
import { stuckProcess } from "./stuck-process.ts";

queueContract("PostgreSQL", async (): Promise<Rig> => {
  const server = await startPostgres();
  const pool = openPostgresPool(server.url, { max: 10 });
  return {
    backend: (options) => postgresQueue({ ...options, kind: "postgres", pool }),
    async rawAdd(name, data, options) {
      const queue = new Queue(name, { connection: pool as never }, createPostgresBackend as never);
      await queue.add("raw", data, options);
      await queue.close();
    },
    stuckConsumer: (prefix) => stuckProcess("postgres", prefix, server.url),
    killServer: { kill9: () => server.kill9(), restart: () => server.restart() },
    async stop() {
      await pool.end();
      await server.stop();
    },
  };
});
