/**
 * PostgreSQL as a `SqlPool`: `pg` with the settings that a long-running service needs.
 *
 * Nothing waits without a bound: not the connection, not a query on a server
 * that froze, and keepalives find a path that died silently.
 * @module
 */
import pg from "pg";
import {
  InvalidConfigError,
  messageOf,
  type SqlClient,
  type SqlPool,
  type SqlResult,
  TransportError,
} from "../core/index.ts";

export interface PostgresPoolOptions {
  /** Schemas for bare names, in order. Default `bullmq, public`: the queue's SQL uses bare names. */
  readonly searchPath?: readonly string[];
  /** Connections at most. Default 16. */
  readonly max?: number;
  /** How long a new connection or a free place may take, milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** How long one statement may take, milliseconds. Default 60,000. */
  readonly queryTimeoutMs?: number;
  /** Told when a connection died while nobody used it. Not a failure: the next query opens a new one. */
  readonly onIdleError?: (error: Error) => void;
}

export interface PostgresPool extends SqlPool {
  /** Waits until the server answers one query. Rejects with `TransportError("postgres.unavailable")`. */
  ready(): Promise<void>;
}

const SCHEMA_PATTERN = /^[a-z_][a-z0-9_]{0,62}$/;
const KEEPALIVE_DELAY_MS = 10_000;

/**
 * A pool for `postgres://user:password@host:port/database`. Opens no connection yet.
 * Throws `InvalidConfigError` on a bad URL or schema name; the password never enters an error.
 */
export function openPostgresPool(url: string, options: PostgresPoolOptions = {}): PostgresPool {
  const searchPath = options.searchPath ?? ["bullmq", "public"];
  requireValid(url, searchPath);
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 16,
    // A start-up option, so that no query can run on a session that has not set it yet.
    options: `-c search_path=${searchPath.join(",")}`,
    application_name: "omega-sync",
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    query_timeout: options.queryTimeoutMs ?? 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
    // A pool must not hold up the end of a process that closed everything else.
    allowExitOnIdle: true,
  });
  // Without a listener a lost idle connection would end the process.
  pool.on("error", (error) => options.onIdleError?.(error));
  // A client in use reports its death too; its user hears of it through the rejected query.
  pool.on("connect", (client) => client.on("error", () => {}));
  let ending: Promise<void> | null = null;

  return {
    query: (text, params) => pool.query(text, params) as Promise<SqlResult>,
    connect: () => pool.connect() as Promise<SqlClient>,
    async ready() {
      try {
        await pool.query("SELECT 1");
      } catch (error) {
        const message = `PostgreSQL does not answer: ${messageOf(error)}`;
        throw new TransportError("postgres.unavailable", message, { cause: error });
      }
    },
    end() {
      ending ??= pool.end();
      return ending;
    },
  };
}

function requireValid(url: string, searchPath: readonly string[]): void {
  const faults: string[] = [];
  if (!URL.canParse(url) || !/^postgres(?:ql)?:$/.test(new URL(url).protocol)) {
    faults.push("the PostgreSQL URL must look like postgres://user:password@host:port/database");
  }
  for (const schema of searchPath) {
    if (!SCHEMA_PATTERN.test(schema)) {
      faults.push(`a schema must match ${SCHEMA_PATTERN.source}: got ${JSON.stringify(schema)}`);
    }
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
}
