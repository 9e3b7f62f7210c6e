/**
 * The main thread's end of the database thread: a `SqlSession` over messages.
 * @module
 */
import { Worker } from "node:worker_threads";
import { type Clock, type SqlNotification, TransportError, within } from "../../core/index.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./database-worker.ts";
import { errorFrom, incoming, outgoing, type SessionReply, type SqlSession } from "./session.ts";

export interface ThreadOptions extends WorkerOptions {
  /** The compiled or source file of the worker. */
  readonly workerUrl: URL;
  readonly openTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly clock: Clock;
}

/** A statement failed; the transaction state still matters to the caller. */
export class StatementError extends Error {
  readonly inTransaction: boolean;

  constructor(cause: Error, inTransaction: boolean) {
    super(cause.message, { cause });
    this.name = "StatementError";
    this.inTransaction = inTransaction;
  }
}

interface Pending {
  readonly resolve: (reply: SessionReply | null) => void;
  readonly reject: (error: Error) => void;
}

/** Starts the thread and waits until the database is open. Throws `TransportError("embedded.open")`. */
export async function openThread(options: ThreadOptions): Promise<SqlSession> {
  const { dir, searchPath, clock } = options;
  const worker = new Worker(options.workerUrl, {
    workerData: { dir, searchPath } satisfies WorkerOptions,
  });
  const session = new ThreadSession(worker, options);
  const late = () =>
    new TransportError("embedded.open", `${dir}: not open after ${options.openTimeoutMs} ms`);
  try {
    await within(clock, options.openTimeoutMs, session.ready, late);
    return session;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

class ThreadSession implements SqlSession {
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #options: ThreadOptions;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #failure: Error | null = null;
  #closing: Promise<void> | null = null;
  #onNotification: (message: SqlNotification) => void = () => {};
  #onFailure: (error: Error) => void = () => {};

  constructor(worker: Worker, options: ThreadOptions) {
    this.#worker = worker;
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      worker.on("message", (message: FromWorker) => {
        if (message.kind === "ready") resolve();
        else if (message.kind === "broken") reject(opening(options.dir, errorFrom(message.error)));
        else this.#receive(message);
      });
      worker.on("error", (error) => {
        reject(opening(options.dir, error));
        this.#fail(error);
      });
      worker.on("exit", (code) => {
        const error = new Error(`the database thread ended with code ${code}`);
        reject(opening(options.dir, error));
        this.#fail(error);
      });
    });
    this.ready.catch(() => {});
  }

  async run(text: string, params?: readonly unknown[]): Promise<SessionReply> {
    const ready = params === undefined ? null : params.map(outgoing);
    const reply = await this.#ask({ kind: "run", id: this.#nextId++, text, params: ready });
    if (reply === null) throw new Error("assertion failed: a statement has a reply");
    incoming(reply.rows);
    return reply;
  }

  onNotification(listener: (message: SqlNotification) => void): void {
    this.#onNotification = listener;
  }

  onFailure(listener: (error: Error) => void): void {
    this.#onFailure = listener;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { clock, closeTimeoutMs, dir } = this.#options;
    if (this.#failure === null) {
      const late = () =>
        new TransportError("embedded.close", `${dir}: not closed after ${closeTimeoutMs} ms`);
      const closed = this.#ask({ kind: "close", id: this.#nextId++ });
      // Killing the thread is no worse than kill -9 of the process, which the database survives.
      await within(clock, closeTimeoutMs, closed, late).catch(() => {});
    }
    await this.#worker.terminate();
  }

  #ask(message: ToWorker): Promise<SessionReply | null> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending.set(message.id, { resolve, reject });
      try {
        this.#worker.postMessage(message);
      } catch (error) {
        // A parameter that cannot be cloned, a function for instance.
        this.#pending.delete(message.id);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  #receive(message: Exclude<FromWorker, { kind: "ready" | "broken" }>): void {
    if (message.kind === "notification") {
      this.#onNotification({ channel: message.channel, payload: message.payload });
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === "reply") pending?.resolve(message.reply);
    else pending?.reject(new StatementError(errorFrom(message.error), message.inTransaction));
  }

  #fail(cause: Error): void {
    if (this.#failure !== null) return;
    const { dir } = this.#options;
    const why = this.#closing === null ? `crashed: ${cause.message}` : "is closed";
    this.#failure = new TransportError("embedded.closed", `the database in ${dir} ${why}`, {
      cause,
    });
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
    if (this.#closing === null) this.#onFailure(this.#failure);
  }
}

function opening(dir: string, cause: Error): TransportError {
  return new TransportError(
    "embedded.open",
    `the database in ${dir} does not open: ${cause.message}`,
    {
      cause,
    },
  );
}
