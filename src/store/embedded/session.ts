/**
 * One database session, wherever it runs, and what crosses the border to it.
 *
 * Messages hold only what the structured clone algorithm copies: plain
 * objects, strings, numbers, dates, Uint8Array. Errors become plain data on one side
 * and errors again, with PostgreSQL's fields, on the other.
 * @module
 */
import type { SqlNotification } from "../../core/index.ts";

export interface SessionReply {
  readonly rows: Record<string, unknown>[];
  readonly rowCount: number | null;
  /** What the database says of the session after the statement. */
  readonly inTransaction: boolean;
}

/** A session that answers statements strictly in the order of calls. */
export interface SqlSession {
  run(text: string, params?: readonly unknown[]): Promise<SessionReply>;
  onNotification(listener: (message: SqlNotification) => void): void;
  /** The session died; everything pending has been rejected, and all that follows will be. Called once. */
  onFailure(listener: (error: Error) => void): void;
  close(): Promise<void>;
}

/** PostgreSQL's error fields that `pg` gives too, and callers decide on. */
const SQL_ERROR_FIELDS = [
  ...["code", "detail", "hint", "severity", "position", "where"],
  ...["schema", "table", "column", "dataType", "constraint", "routine"],
] as const;

export interface ErrorData {
  readonly message: string;
  readonly name: string;
  readonly fields: Readonly<Record<string, string>>;
}

export function errorData(thrown: unknown): ErrorData {
  if (!(thrown instanceof Error)) return { message: String(thrown), name: "Error", fields: {} };
  const fields: Record<string, string> = {};
  for (const field of SQL_ERROR_FIELDS) {
    const value = (thrown as unknown as Record<string, unknown>)[field];
    if (typeof value === "string") fields[field] = value;
  }
  return { message: thrown.message, name: thrown.name, fields };
}

export function errorFrom(data: ErrorData): Error {
  const error = new Error(data.message);
  error.name = data.name;
  return Object.assign(error, data.fields);
}

/**
 * Parameters ready to cross: a view of a larger buffer becomes a copy of just
 * its bytes (cloning a view would copy the whole buffer behind it), undefined becomes null as in `pg`.
 */
export function outgoing(value: unknown): unknown {
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value);
  return Array.isArray(value) ? value.map(outgoing) : value;
}

/** Rows that crossed, with bytea as Buffer as in `pg`. Changes and returns `rows`. */
export function incoming(rows: Record<string, unknown>[]): Record<string, unknown>[] {
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      if (value instanceof Uint8Array) row[name] = asBuffer(value);
      else if (Array.isArray(value)) row[name] = value.map(bufferInside);
    }
  }
  return rows;
}

function bufferInside(value: unknown): unknown {
  return value instanceof Uint8Array ? asBuffer(value) : value;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
