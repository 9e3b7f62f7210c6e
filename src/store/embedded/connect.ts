/**
 * The embedded database as a `SqlPool` in another process than its owner's.
 * @module
 */
import { EventEmitter } from "node:events";
import { type SqlClient, type SqlPool, type SqlResult, TransportError } from "../../core/index.ts";
import type { Channel } from "./channel.ts";
import { POOL, type ToClient, type ToOwner } from "./remote.ts";
import { errorFrom, incoming, outgoing } from "./session.ts";

interface Pending {
  readonly resolve: (result: SqlResult) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A pool over `channel`. When the owner goes, every pending and later query
 * rejects with `TransportError("embedded.closed")` and every client emits `error`.
 */
export function connectEmbedded(channel: Channel): SqlPool {
  return new RemotePool(channel);
}

class RemotePool implements SqlPool {
  /** BullMQ reads it: a dead LISTEN client is noticed, so it may wait long for a notification. */
  readonly options = { keepAlive: true };
  readonly #channel: Channel;
  readonly #pending = new Map<number, Pending>();
  readonly #clients = new Map<number, RemoteClient>();
  #nextId = 1;
  #nextClient = POOL + 1;
  #closed: Error | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onMessage((message) => this.#receive(message as ToClient));
    channel.onClose(() =>
      this.#close(new TransportError("embedded.closed", "the process with the database ended")),
    );
  }

  query(text: string, params?: unknown[]): Promise<SqlResult> {
    return this.#ask(POOL, text, params);
  }

  async connect(): Promise<SqlClient> {
    if (this.#closed !== null) throw this.#closed;
    const number = this.#nextClient++;
    const client = new RemoteClient(
      (text, params) => this.#ask(number, text, params),
      () => {
        if (this.#clients.delete(number)) this.#post({ kind: "release", client: number });
      },
    );
    this.#clients.set(number, client);
    this.#post({ kind: "connect", client: number });
    return client;
  }

  /** Releases every client; the database lives on at its owner. */
  async end(): Promise<void> {
    for (const client of [...this.#clients.values()]) client.release();
  }

  on(): this {
    return this;
  }

  removeAllListeners(): this {
    return this;
  }

  #post(message: ToOwner): void {
    this.#channel.post(message);
  }

  #ask(client: number, text: string, params?: unknown[]): Promise<SqlResult> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      const ready = params === undefined ? null : params.map(outgoing);
      this.#post({ kind: "query", id, client, text, params: ready });
    });
  }

  #receive(message: ToClient): void {
    switch (message.kind) {
      case "result":
        incoming(message.result.rows);
        this.#take(message.id)?.resolve(message.result);
        return;
      case "error":
        this.#take(message.id)?.reject(errorFrom(message.error));
        return;
      case "notification":
        this.#clients.get(message.client)?.emit("notification", message);
        return;
      case "dead": {
        const client = this.#clients.get(message.client);
        this.#clients.delete(message.client);
        client?.die(errorFrom(message.error));
      }
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #close(error: Error): void {
    this.#closed = error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    const clients = [...this.#clients.values()];
    this.#clients.clear();
    for (const client of clients) client.die(error);
  }
}

class RemoteClient extends EventEmitter implements SqlClient {
  readonly #ask: (text: string, params?: unknown[]) => Promise<SqlResult>;
  readonly #leave: () => void;
  #released: Error | null = null;

  constructor(ask: (text: string, params?: unknown[]) => Promise<SqlResult>, leave: () => void) {
    super();
    this.setMaxListeners(0);
    this.#ask = ask;
    this.#leave = leave;
  }

  /** The owner runs the statements of one client one after another. */
  query(text: string, params?: unknown[]): Promise<SqlResult> {
    if (this.#released !== null) return Promise.reject(this.#released);
    return this.#ask(text, params);
  }

  release(): void {
    if (this.#released !== null) return;
    this.#released = new TransportError("sql.released", "this client was released");
    this.#leave();
  }

  die(error: Error): void {
    this.#released = error;
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }
}
