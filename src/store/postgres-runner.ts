/**
 * Running SQL with an end to every wait.
 *
 * A statement that gets no answer cannot be taken back, and its connection cannot
 * be used again: it is destroyed instead of returned. A connection that arrives
 * after we stopped waiting for it goes straight back to the pool.
 * @module
 */
import {
  type Clock,
  OmegaError,
  type SqlClient,
  type SqlPool,
  type SqlResult,
  within,
} from "../core/index.ts";
import { timedOut, unavailable } from "./refusals.ts";

export type SqlQuery = (text: string, params: unknown[]) => Promise<SqlResult>;

export interface SqlRunnerOptions {
  readonly pool: SqlPool;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

export class SqlRunner {
  readonly #pool: SqlPool;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(options: SqlRunnerOptions) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
  }

  /** One statement on any connection. */
  query(text: string, params: unknown[]): Promise<SqlResult> {
    return this.#withClient((query) => query(text, params));
  }

  /** Several statements in one transaction; what `act` throws rolls it back. */
  transaction<T>(act: (query: SqlQuery) => Promise<T>): Promise<T> {
    return this.#withClient(async (query) => {
      await query("BEGIN", []);
      try {
        const result = await act(query);
        await query("COMMIT", []);
        return result;
      } catch (error) {
        // A connection that cannot roll back is destroyed, which rolls back too.
        await query("ROLLBACK", []).catch(() => {});
        throw error;
      }
    });
  }

  /** A connection to keep; give it back with `release(true)`. `onLost` is called when it breaks. */
  async hold(onLost: () => void): Promise<{ client: SqlClient; query: SqlQuery }> {
    const client = await this.#connect();
    client.on("error", onLost);
    return { client, query: (text, params) => this.#bounded(client.query(text, params)) };
  }

  async #withClient<T>(act: (query: SqlQuery) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let isBroken = false;
    try {
      return await act(async (text, params) => {
        if (isBroken) throw unavailable(new Error("the connection is broken"));
        try {
          return await this.#bounded(client.query(text, params));
        } catch (error) {
          isBroken = !isAnswer(error);
          throw error;
        }
      });
    } finally {
      client.release(isBroken);
    }
  }

  async #connect(): Promise<SqlClient> {
    const connecting = this.#pool.connect();
    try {
      const client = await this.#bounded(connecting);
      guard(client);
      return client;
    } catch (error) {
      connecting.then(
        (late) => late.release(),
        () => {},
      );
      throw error;
    }
  }

  /** Settles like `answer`, or with "store.timeout" when that takes too long; foreign errors become ours. */
  async #bounded<T>(answer: Promise<T>): Promise<T> {
    try {
      return await within(this.#clock, this.#timeoutMs, answer, () => timedOut(this.#timeoutMs));
    } catch (error) {
      throw error instanceof OmegaError && error.reason === "store.timeout"
        ? error
        : unavailable(error);
    }
  }
}

const guarded = new WeakSet<SqlClient>();

/**
 * pg emits "error" on a client in use whose connection breaks, and the process ends
 * when nobody listens. The query under way rejects too, and that is what we act on.
 */
function guard(client: SqlClient): void {
  if (guarded.has(client)) return;
  guarded.add(client);
  client.on("error", () => {});
}

/** Whether the server itself said no (a five-character SQLSTATE), so that the connection still works. */
function isAnswer(error: unknown): boolean {
  const cause = error instanceof OmegaError ? error.cause : error;
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  // Class 57P: the server is shutting down, or killed this very connection.
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("57P");
}
