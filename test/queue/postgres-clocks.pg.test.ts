import { afterAll, beforeAll, it } from "vitest";
import { silentLogger } from "../../src/observe/index.ts";
import { postgresQueue, type QueueBackend } from "../../src/queue/index.ts";
import { openPostgresPool } from "../../src/store/postgres-pool.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { entryOf, expectBothHandled, HOUR_MS } from "./both-jobs.ts";

const SHARDS = 1;

let server: PostgresServer;
let pool: ReturnType<typeof openPostgresPool>;
let queue: QueueBackend;
beforeAll(async () => {
  server = await startPostgres();
  pool = openPostgresPool(server.url, { max: 5 });
  queue = await postgresQueue({ pool, kind: "postgres", shards: SHARDS, log: silentLogger });
}, 60_000);
afterAll(async () => {
  await queue.close();
  await pool.end();
  await server.stop();
});

it("P2: the jobs of a dead worker whose clock was an hour ahead do not wait for an hour", async () => {
  const producer = await queue.producer();
  for (let n = 1; n <= 2; n += 1) await producer.add(0, [entryOf(n)]);
  const ahead = Date.now() + HOUR_MS;
  // What such a worker leaves: one job that it held, one that it put off, and its look at the stalled ones.
  await pool.query(
    "UPDATE bullmq.job SET state = 'active', lock_token = 'dead', locked_until_ms = $1::bigint, attempts_started = 1 WHERE seq = (SELECT min(seq) FROM bullmq.job)",
    [ahead],
  );
  await pool.query(
    "UPDATE bullmq.job SET state = 'delayed', process_at_ms = $1::bigint WHERE state = 'waiting'",
    [ahead],
  );
  await pool.query(
    "INSERT INTO bullmq.meta (queue, field, value) VALUES ('{omega-0}', 'stalled-check', $1::text)",
    [`${ahead}`],
  );
  await expectBothHandled(queue, producer);
}, 40_000);
