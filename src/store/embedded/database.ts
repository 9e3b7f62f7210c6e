/**
 * The embedded database: PostgreSQL inside the process, nothing to install.
 *
 * One process owns the directory (directory-lock.ts), PGlite runs in a thread
 * of it (thread.ts), everyone speaks to it through a pool (pool.ts), and other
 * processes may be let in over IPC (serve.ts). It survives the death of the process at any
 * moment, but not a power failure: PGlite never calls fsync.
 * @module
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import {
  type Clock,
  InvalidConfigError,
  messageOf,
  type SqlPool,
  systemClock,
} from "../../core/index.ts";
import { type Logger, silentLogger } from "../../observe/index.ts";
import type { Channel } from "./channel.ts";
import { type DirectoryLock, lockDirectory } from "./directory-lock.ts";
import { type Maintenance, startMaintenance } from "./maintenance.ts";
import { SessionPool } from "./pool.ts";
import { servePool } from "./serve.ts";
import type { SqlSession } from "./session.ts";
import { openThread } from "./thread.ts";

export interface EmbeddedOptions {
  /** The data directory; made when missing. */
  readonly dir: string;
  readonly log?: Logger;
  /** The thread's file. Default: `database-worker` beside this file, with the same extension. */
  readonly workerUrl?: URL;
  /** Told once when the database thread crashed. Every query rejects from then on. */
  readonly onCrash?: (error: Error) => void;
  /** How long a first opening, which creates the database, may take, milliseconds. Default 120,000. */
  readonly openTimeoutMs?: number;
  /** How long a statement may wait behind others' transactions, milliseconds. Default 30,000. */
  readonly waitMs?: number;
  /** How long a transaction may stay open without a statement, milliseconds. Default 30,000. */
  readonly transactionIdleMs?: number;
  readonly clock?: Clock;
}

export interface EmbeddedDatabase {
  /** The absolute data directory. */
  readonly dir: string;
  /** Sessions search the schemas bullmq and public. `end()` does nothing: {@link close} ends it. */
  readonly pool: SqlPool;
  /** For the banner at start. */
  readonly survives: string;
  /** Lets another process in; see `connectEmbedded`. */
  serve(channel: Channel): void;
  /** Writes everything out, ends the thread, gives the directory free. Idempotent. */
  close(): Promise<void>;
}

const SURVIVES = "process death, not power loss";
const SEARCH_PATH = "bullmq, public";
const CLOSE_TIMEOUT_MS = 20_000;
const MAINTENANCE_EVERY_MS = 20_000;

/**
 * Opens the database in `dir`; the first time takes seconds, since it is created.
 * Throws `TransportError("embedded.locked")` naming the process that has it open,
 * `TransportError("embedded.unwritable")` when its disk is full,
 * `TransportError("embedded.open")` when it does not open, `InvalidConfigError` when `dir` cannot be used.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const { clock = systemClock, log = silentLogger } = options;
  const dir = usableDirectory(options.dir);
  const lock = await lockDirectory(dir, clock);
  const startedMs = clock.monotonicMs();
  let session: SqlSession;
  try {
    session = await openSession(dir, options, clock);
  } catch (error) {
    lock.release();
    throw error;
  }
  log.info("embedded.open", { dir, ms: Math.round(clock.monotonicMs() - startedMs) });
  return assemble(dir, session, lock, { ...options, clock, log });
}

/**
 * Creates the database when there is none, and opens it. Creation happens beside
 * its final place and in a thread of its own: a kill in the middle leaves nothing that looks like
 * a database, and the half gigabyte that initdb takes goes with its thread.
 */
async function openSession(dir: string, options: EmbeddedOptions, clock: Clock) {
  const data = join(dir, "pgdata");
  const draft = join(dir, "pgdata.draft");
  const open = (at: string) =>
    openThread({
      dir: at,
      searchPath: SEARCH_PATH,
      workerUrl: options.workerUrl ?? defaultWorkerUrl(),
      openTimeoutMs: options.openTimeoutMs ?? 120_000,
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      clock,
    });
  if (!existsSync(data)) {
    rmSync(draft, { recursive: true, force: true });
    const created = await open(draft);
    await created.close();
    renameSync(draft, data);
  }
  return open(data);
}

function assemble(
  dir: string,
  session: SqlSession,
  lock: DirectoryLock,
  options: EmbeddedOptions & { readonly clock: Clock; readonly log: Logger },
): EmbeddedDatabase {
  const { clock, log, waitMs, transactionIdleMs } = options;
  const pool = new SessionPool({
    session,
    clock,
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(transactionIdleMs === undefined ? {} : { transactionIdleMs }),
    onFailure: (error) => {
      log.error("embedded.crashed", { dir, error: error.message });
      options.onCrash?.(error);
    },
  });
  const maintenance: Maintenance = startMaintenance({
    pool,
    clock,
    log,
    everyMs: MAINTENANCE_EVERY_MS,
  });
  let closing: Promise<void> | null = null;

  async function close(): Promise<void> {
    await maintenance.stop();
    await session.close();
    lock.release();
    log.info("embedded.closed", { dir });
  }

  return {
    dir,
    pool,
    survives: SURVIVES,
    serve: (channel) => servePool(pool, channel),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function usableDirectory(given: string): string {
  if (given === "") throw new InvalidConfigError(["the embedded database needs a directory"]);
  const dir = resolve(given);
  try {
    // Patterns of viewers are nobody else's business.
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new InvalidConfigError([`the data directory ${dir} cannot be made: ${messageOf(error)}`]);
  }
  return dir;
}

function defaultWorkerUrl(): URL {
  return new URL(`./database-worker${extname(import.meta.url)}`, import.meta.url);
}
