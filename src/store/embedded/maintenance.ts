/**
 * What PostgreSQL's background processes would do.
 *
 * PGlite is one process without autovacuum and without checkpointer: left
 * alone, every finished job stays on disk as a dead row and the write-ahead log grows
 * until close(), which makes the reopening after a kill -9 slower and slower. So we run
 * both from time to time, when enough was written to be worth it.
 * @module
 */
import { type Clock, messageOf, type SqlPool, type Timer } from "../../core/index.ts";
import type { Logger } from "../../observe/index.ts";

export interface MaintenanceOptions {
  readonly pool: SqlPool;
  readonly clock: Clock;
  readonly log: Logger;
  readonly everyMs: number;
}

export interface Maintenance {
  /** Idempotent; waits for a run that is under way. */
  stop(): Promise<void>;
}

/** Bytes of log after which a checkpoint is worth its while. */
const WAL_BYTES_MIN = 8 * 1024 * 1024;

export function startMaintenance(options: MaintenanceOptions): Maintenance {
  const { pool, clock, log, everyMs } = options;
  let lastLsn = "0/0";
  let stopped = false;
  let timer: Timer | null = null;
  let running: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    try {
      const { rows } = await pool.query(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::float8 AS written, pg_current_wal_insert_lsn()::text AS lsn",
        [lastLsn],
      );
      if (Number(rows[0]?.written) < WAL_BYTES_MIN || stopped) return;
      const startedMs = clock.monotonicMs();
      await pool.query("VACUUM (ANALYZE)");
      if (!stopped) await pool.query("CHECKPOINT");
      lastLsn = String(rows[0]?.lsn);
      log.debug("embedded.maintained", { ms: Math.round(clock.monotonicMs() - startedMs) });
    } catch (error) {
      if (!stopped) log.warn("embedded.maintenance.failed", { error: messageOf(error) });
    }
  }

  function schedule(): void {
    if (stopped) return;
    timer = clock.after(
      everyMs,
      () => {
        running = run().finally(schedule);
      },
      { background: true },
    );
  }

  schedule();
  return {
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}
