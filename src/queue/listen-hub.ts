/**
 * One LISTEN connection for all workers of a process.
 *
 * BullMQ's PostgreSQL backend takes a client out of the pool for each worker
 * and keeps it to LISTEN. With a worker per shard that empties any pool, so
 * BullMQ is given this pool instead: its clients are virtual, their LISTENs
 * share one real client, everything else goes to the real pool. When the real
 * client dies, every virtual one that listened reports an error, which makes
 * BullMQ take a new one and LISTEN again.
 * @module
 */
import { EventEmitter } from "node:events";
import { type Clock, type SqlClient, type SqlPool, type SqlResult, sleep } from "../core/index.ts";

const LISTEN = /^\s*(?:--[^\n]*\n\s*)*LISTEN\s+([a-z_][a-z0-9_]*)\s*;?\s*$/i;
/** Only names the connection, for a listing of workers that we do not use; shared, it would be the last one's. */
const NAMING = /set_config\('application_name'/;
/** SQLSTATE class 57P: the server goes down or comes up. BullMQ would ask again without a pause. */
const SERVER_RESTARTING = /^57P/;
const RESTARTING_PAUSE_MS = 250;

interface HubPool extends SqlPool {
  /** Read by BullMQ: a dead LISTEN connection is noticed, so it may wait long for a notification. */
  readonly options: { readonly keepAlive: true };
  on(event: string, listener: (...args: never[]) => void): HubPool;
  removeAllListeners(): HubPool;
  connect(): Promise<HubClient>;
}

export interface ListenHub {
  readonly pool: HubPool;
  /** Gives the shared client back. Idempotent. */
  close(): void;
}

class HubClient extends EventEmitter {
  readonly #run: (client: HubClient, text: string, params?: unknown[]) => Promise<SqlResult>;
  readonly #leave: (client: HubClient) => void;

  constructor(
    run: (client: HubClient, text: string, params?: unknown[]) => Promise<SqlResult>,
    leave: (client: HubClient) => void,
  ) {
    super();
    this.setMaxListeners(0);
    this.#run = run;
    this.#leave = leave;
  }

  query(text: string, params?: unknown[]): Promise<SqlResult> {
    return this.#run(this, text, params);
  }

  release(): void {
    this.#leave(this);
  }
}

export function createListenHub(pool: SqlPool, clock: Clock): ListenHub {
  const listeners = new Set<HubClient>();
  let shared: Promise<SqlClient> | null = null;

  function drop(client: SqlClient, error: Error): void {
    shared = null;
    client.release(true);
    const orphans = [...listeners];
    listeners.clear();
    for (const orphan of orphans) orphan.emit("error", error);
  }

  async function openShared(): Promise<SqlClient> {
    const client = await pool.connect();
    client.on("notification", (message) => {
      for (const listener of listeners) listener.emit("notification", message);
    });
    client.on("error", (error) => drop(client, error));
    return client;
  }

  async function run(client: HubClient, text: string, params?: unknown[]): Promise<SqlResult> {
    if (NAMING.test(text)) return { rows: [], rowCount: 0 };
    if (!LISTEN.test(text)) return patiently(() => pool.query(text, params));
    if (shared === null) {
      const opening = openShared();
      shared = opening;
      opening.catch(() => {
        if (shared === opening) shared = null;
      });
    }
    listeners.add(client);
    return (await shared).query(text);
  }

  async function patiently(query: () => Promise<SqlResult>): Promise<SqlResult> {
    try {
      return await query();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (SERVER_RESTARTING.test(code)) await sleep(clock, RESTARTING_PAUSE_MS);
      throw error;
    }
  }

  const hubPool: HubPool = {
    options: { keepAlive: true },
    query: (text, params) => patiently(() => pool.query(text, params)),
    connect: async () => new HubClient(run, (client) => listeners.delete(client)),
    end: async () => {},
    on: () => hubPool,
    removeAllListeners: () => hubPool,
  };

  return {
    pool: hubPool,
    close() {
      const open = shared;
      shared = null;
      listeners.clear();
      open?.then((client) => client.release(true)).catch(() => {});
    },
  };
}
