/**
 * The part of `pg.Pool` that this product uses, so that PostgreSQL and the
 * embedded database stand behind one door.
 * @module
 */

export interface SqlResult {
  // biome-ignore lint/suspicious/noExplicitAny: rows have the shape their statement gives them.
  readonly rows: any[];
  readonly rowCount: number | null;
}

export interface SqlNotification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

export interface SqlClient {
  query(text: string, params?: unknown[]): Promise<SqlResult>;
  on(event: "notification", listener: (message: SqlNotification) => void): unknown;
  /** The connection died: what it LISTENed to is gone, and every later query rejects. */
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "notification", listener: (message: SqlNotification) => void): unknown;
  /** Gives the client back; `true` or an error destroys the connection instead. */
  release(destroy?: boolean | Error): void;
}

/** Transactions run on one client from `connect()`; `query` may use any. */
export interface SqlPool {
  query(text: string, params?: unknown[]): Promise<SqlResult>;
  connect(): Promise<SqlClient>;
  end(): Promise<void>;
}
