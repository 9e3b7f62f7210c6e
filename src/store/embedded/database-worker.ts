/**
 * The thread that runs PGlite.
 *
 * In the main thread PGlite stalls the event loop for over a second, and a gateway that stalls loses its clients. Statements run
 * strictly one after another, in the order of arrival; each answer says
 * whether the session is inside a transaction.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { PGlite, type QueryOptions, type Results } from "@electric-sql/pglite";
import { toBuffer, toBytes } from "../postgres-bytes.ts";
import { type ErrorData, errorData, type SessionReply } from "./session.ts";

export interface WorkerOptions {
  readonly dir: string;
  readonly searchPath: string;
}

export type ToWorker =
  | {
      readonly kind: "run";
      readonly id: number;
      readonly text: string;
      readonly params: unknown[] | null;
    }
  | { readonly kind: "close"; readonly id: number };

export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "broken"; readonly error: ErrorData }
  | { readonly kind: "reply"; readonly id: number; readonly reply: SessionReply | null }
  | {
      readonly kind: "error";
      readonly id: number;
      readonly error: ErrorData;
      readonly inTransaction: boolean;
    }
  | { readonly kind: "notification"; readonly channel: string; readonly payload: string };

const BYTEA = 17;
const INT8 = 20;
const INT8_ARRAY = 1016;
/** How the text form of a bytea begins (PostgreSQL §8.4.1). */
const HEX_MARK = "\\x";

/**
 * 64-bit integers as text, as `pg` gives them: a double cannot hold them all. Byte strings in hex as
 * PGlite wants them, but not one byte after the other: its own way took a third of this thread.
 */
const OPTIONS: QueryOptions = {
  serializers: {
    [BYTEA]: (bytes: Uint8Array) => HEX_MARK + toBuffer(bytes).toString("hex"),
  },
  parsers: {
    [BYTEA]: (text) => toBytes(Buffer.from(text.slice(HEX_MARK.length), "hex")),
    [INT8]: (text) => text,
    [INT8_ARRAY]: (text) =>
      text === "{}"
        ? []
        : text
            .slice(1, -1)
            .split(",")
            .map((item) => (item === "NULL" ? null : item)),
  },
};

async function run(db: PGlite, text: string, params: unknown[] | null): Promise<SessionReply> {
  // Several statements in one text are possible only without parameters, as in `pg`.
  const result: Results | undefined =
    params === null || params.length === 0
      ? (await db.exec(text, OPTIONS)).at(-1)
      : await db.query(text, params, OPTIONS);
  return {
    rows: (result?.rows ?? []) as Record<string, unknown>[],
    rowCount: countOf(result),
    inTransaction: db.isInTransaction(),
  };
}

function countOf(result: Results | undefined): number | null {
  if (result === undefined) return null;
  return Math.max(result.rows.length, result.affectedRows ?? 0);
}

async function serve(options: WorkerOptions): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("assertion failed: this file runs in a worker thread");
  const post = (message: FromWorker) => port.postMessage(message);
  const db = await PGlite.create(options.dir);
  await db.exec(`SET search_path = ${options.searchPath}`);
  db.onNotification((channel, payload) => post({ kind: "notification", channel, payload }));

  async function answer(message: ToWorker): Promise<void> {
    try {
      if (message.kind === "close") await db.close();
      const reply = message.kind === "run" ? await run(db, message.text, message.params) : null;
      post({ kind: "reply", id: message.id, reply });
    } catch (error) {
      const inTransaction = !db.closed && db.isInTransaction();
      post({ kind: "error", id: message.id, error: errorData(error), inTransaction });
    }
  }

  let last: Promise<void> = Promise.resolve();
  port.on("message", (message: ToWorker) => {
    last = last.then(() => answer(message));
  });
  post({ kind: "ready" });
}

serve(workerData as WorkerOptions).catch((error) => {
  parentPort?.postMessage({ kind: "broken", error: errorData(error) } satisfies FromWorker);
});
