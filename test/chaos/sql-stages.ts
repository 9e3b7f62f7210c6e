/**
 * The two ways to run on SQL: a PostgreSQL server, and the database inside the one process.
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SqlPool } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { postgresQueue } from "../../src/queue/index.ts";
import { openEmbedded, openPostgresPool, postgresStore } from "../../src/store/index.ts";
import { freePort } from "../support/disk.ts";
import { preparePostgres } from "../support/postgres.ts";
import { Disk, fillable } from "./disk-of-its-own.ts";
import { Part } from "./part.ts";
import { ServerClock } from "./server-clock.ts";
import { type OpenStage, SHARDS, type Stage, type StageOptions } from "./stage.ts";

/** The server keeps up to a GiB of its log, and the run some tens of MiB of tables. */
const DISK_MIB = 2_048;

export async function startPostgres({ dir, link }: StageOptions): Promise<Stage> {
  const port = await freePort();
  const disk = new Disk(join(dir, "postgres"), DISK_MIB);
  const { command, args, settings, isReady } = preparePostgres(disk.path, port);
  const server = new Part({
    ...{ name: "postgres", command, args: () => args, settings },
    logFile: join(dir, "postgres.log"),
    ready: isReady,
    clock: ServerClock.in(dir, "postgres"),
    // Until the processes of its last life have ended, or while its disk is full, it does not start.
    mayEndWith: [1],
  });
  await server.start();
  const user = "postgres://omega@127.0.0.1";
  return {
    ...{ servers: [server], port },
    ...{ helpers: [], links: [], failOver: null, poisonJob: null },
    disks: fillable("postgres", disk),
    flagsFor: async (name) => ["--postgres", `${user}:${await link(name, port)}/postgres`],
    open() {
      const pool = openPostgresPool(`${user}:${port}/postgres`, { onIdleError: () => {} });
      return openOn(pool, "postgres", () => pool.end());
    },
    whole: () => server.isReady(),
  };
}

/** Nothing but a folder: `omega-sync start` has the database, and must have ended before it is opened. */
export function embedded({ dir }: StageOptions): Stage {
  const disk = new Disk(join(dir, "embedded"), DISK_MIB);
  const dataDir = join(disk.path, "data");
  return {
    ...{ servers: [], port: null },
    ...{ helpers: [], links: [], failOver: null, poisonJob: null },
    disks: fillable("embedded", disk),
    flagsFor: async () => ["--data-dir", dataDir],
    async open() {
      const worker = new URL("../../src/store/embedded/database-worker.js", import.meta.url);
      const database = await openEmbedded({
        dir: dataDir,
        workerUrl: new URL(`file://${fileURLToPath(worker)}`),
      });
      return openOn(database.pool, "embedded", () => database.close());
    },
    whole: () => Promise.resolve(true),
  };
}

async function openOn(
  pool: SqlPool,
  kind: "postgres" | "embedded",
  closeLast: () => Promise<void>,
): Promise<OpenStage> {
  const queue = await postgresQueue({ pool, kind, shards: SHARDS, log: silentLogger });
  const store = await postgresStore({ pool, shards: SHARDS, log: silentLogger });
  return {
    ...{ queue, store },
    async close() {
      await queue.close();
      await store.close();
      await closeLast();
    },
  };
}
