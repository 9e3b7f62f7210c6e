import { createPostgresBackend, Queue } from "bullmq";
import pg from "pg";
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
      const connection = new pg.Pool({
        connectionString: server.url,
        options: "-c search_path=bullmq",
        max: 1,
      });
      await new Queue(
        name,
        { connection: connection as never },
        createPostgresBackend as never,
      ).add("raw", data, options);
      await connection.end();
    },
    stuckConsumer: (prefix) => stuckProcess("postgres", prefix, server.url),
    killServer: { kill9: () => server.kill9(), restart: () => server.restart() },
    async stop() {
      await pool.end();
      await server.stop();
    },
  };
});
