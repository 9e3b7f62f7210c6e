/**
 * A pool, as `pg.Pool` is one, over a single session.
 *
 * BullMQ's PostgreSQL backend and our own store cannot tell it from the real
 * one: clients with exclusive transactions, LISTEN per client, death reported as `error` event.
 * @module
 */
import { EventEmitter } from "node:events";
import {
  type Clock,
  type SqlClient,
  type SqlNotification,
  type SqlPool,
  type SqlResult,
  TransportError,
} from "../../core/index.ts";
import type { SessionReply, SqlSession } from "./session.ts";
import { channelStatement, classify } from "./statement.ts";
import { Turnstile } from "./turnstile.ts";

export interface SessionPoolOptions {
  readonly session: SqlSession;
  readonly clock: Clock;
  readonly waitMs?: number;
  readonly transactionIdleMs?: number;
  /** The session died; the clients have been told. */
  readonly onFailure?: (error: Error) => void;
}

const DEFAULT_WAIT_MS = 30_000;
const DEFAULT_TRANSACTION_IDLE_MS = 30_000;

export class SessionPool implements SqlPool {
  /** BullMQ reads it: a dead LISTEN client is noticed, so it may wait long for a notification. */
  readonly options = { keepAlive: true };
  readonly #turnstile: Turnstile;
  readonly #clients = new Set<SessionClient>();

  constructor(options: SessionPoolOptions) {
    const { session } = options;
    this.#turnstile = new Turnstile({
      session,
      clock: options.clock,
      waitMs: options.waitMs ?? DEFAULT_WAIT_MS,
      transactionIdleMs: options.transactionIdleMs ?? DEFAULT_TRANSACTION_IDLE_MS,
      onExpired: (speaker, error) => {
        if (speaker instanceof SessionClient) this.#drop(speaker, error);
      },
    });
    session.onNotification((message) => {
      for (const client of this.#clients) client.notify(message);
    });
    session.onFailure((error) => {
      for (const client of [...this.#clients]) this.#drop(client, error);
      options.onFailure?.(error);
    });
  }

  async query(text: string, params?: unknown[]): Promise<SqlResult> {
    const begins = classify(text).kind === "begin";
    return resultOf(await this.#turnstile.run(null, begins, text, params));
  }

  async connect(): Promise<SessionClient> {
    const client = new SessionClient(this.#turnstile, () => this.#leave(client));
    this.#clients.add(client);
    return client;
  }

  /** Nothing: the database that owns the session closes it. */
  async end(): Promise<void> {}

  /** The pool has no idle connections that could die; here so that it can stand in for `pg.Pool`. */
  on(): this {
    return this;
  }

  removeAllListeners(): this {
    return this;
  }

  #drop(client: SessionClient, error: Error): void {
    client.release(error);
    if (client.listenerCount("error") > 0) client.emit("error", error);
  }

  #leave(client: SessionClient): void {
    this.#clients.delete(client);
    this.#turnstile.abandon(client);
    const others = [...this.#clients];
    for (const channel of client.channels) {
      if (others.some((other) => other.channels.has(channel))) continue;
      const unlisten = channelStatement("UNLISTEN", channel);
      // Fails only with the session; an unheard notification costs nothing.
      this.#turnstile.run(null, false, unlisten).catch(() => {});
    }
  }
}

export class SessionClient extends EventEmitter implements SqlClient {
  /** What this client LISTENs to. */
  readonly channels = new Set<string>();
  readonly #turnstile: Turnstile;
  readonly #leave: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #released: Error | null = null;

  constructor(turnstile: Turnstile, leave: () => void) {
    super();
    this.setMaxListeners(0);
    this.#turnstile = turnstile;
    this.#leave = leave;
  }

  /** One after another, as `pg` does on one connection. */
  query(text: string, params?: unknown[]): Promise<SqlResult> {
    const result = this.#last.then(() => this.#run(text, params));
    this.#last = result.catch(() => {});
    return result;
  }

  /** Whatever transaction is open is rolled back; `destroy` makes no further difference here. */
  release(destroy?: boolean | Error): void {
    if (this.#released !== null) return;
    this.#released =
      destroy instanceof Error
        ? destroy
        : new TransportError("sql.released", "this client was released");
    this.#leave();
  }

  notify(message: SqlNotification): void {
    if (this.channels.has(message.channel)) this.emit("notification", message);
  }

  async #run(text: string, params?: unknown[]): Promise<SqlResult> {
    if (this.#released !== null) throw this.#released;
    const statement = classify(text);
    if (statement.kind === "unlisten") {
      // Others may listen on; the session's own UNLISTEN comes with the last of them.
      if (statement.channel === null) this.channels.clear();
      else this.channels.delete(statement.channel);
      return { rows: [], rowCount: null };
    }
    const reply = await this.#turnstile.run(this, statement.kind === "begin", text, params);
    if (statement.kind === "listen") this.channels.add(statement.channel);
    return resultOf(reply);
  }
}

function resultOf({ rows, rowCount }: SessionReply): SqlResult {
  return { rows, rowCount };
}
