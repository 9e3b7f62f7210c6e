/**
 * What workers with a wrong clock leave in the queue's tables.
 *
 * BullMQ's SQL is told the time by the worker: when a job's lock ends, when a
 * delayed job is due, when jobs of dead workers were last looked for. A worker
 * that was an hour ahead and died leaves all three an hour in the future, and
 * until then nobody takes its jobs back. The server's clock is the one that
 * all workers share.
 * @module
 */
import type { SqlPool } from "../core/index.ts";
import { AHEAD_MS_MAX } from "./job-options.ts";

const SERVER_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const REPAIRS = [
  `UPDATE bullmq.meta SET value = ${SERVER_MS}::text
    WHERE queue = $1 AND field = 'stalled-check' AND value::bigint > ${SERVER_MS} + $2::bigint`,
  `UPDATE bullmq.job SET locked_until_ms = ${SERVER_MS}
    WHERE queue = $1 AND state = 'active' AND locked_until_ms > ${SERVER_MS} + $2::bigint`,
  `UPDATE bullmq.job SET process_at_ms = ${SERVER_MS}
    WHERE queue = $1 AND state = 'delayed' AND process_at_ms > ${SERVER_MS} + $2::bigint`,
];

/**
 * Brings what lies too far in the future of queue `name` back to now; gives how many rows that
 * were. A worker that still holds a job renews its lock or has it run a second time, which the
 * aggregate's cursors make once (P2). Rejects as the pool does.
 */
export async function mendClocks(pool: SqlPool, name: string): Promise<number> {
  let mended = 0;
  for (const repair of REPAIRS) {
    mended += (await pool.query(repair, [name, AHEAD_MS_MAX])).rowCount ?? 0;
  }
  return mended;
}
