/**
 * The owner's end of the database for another process.
 *
 * The demo kills its gateway with SIGKILL while the database lives on in the
 * parent: whatever that process had open is rolled back, its LISTENs end, the
 * line moves on.
 * @module
 */
import type { SqlPool, SqlResult } from "../../core/index.ts";
import type { Channel } from "./channel.ts";
import type { SessionClient, SessionPool } from "./pool.ts";
import { POOL, type ToClient, type ToOwner } from "./remote.ts";
import { errorData } from "./session.ts";

/** Answers the statements that come over `channel` from `pool` until the channel closes. */
export function servePool(pool: SessionPool, channel: Channel): void {
  const clients = new Map<number, Promise<SessionClient>>();
  const post = (message: ToClient) => channel.post(message);

  async function connect(number: number): Promise<SessionClient> {
    const client = await pool.connect();
    client.on("notification", ({ channel: name, payload }) =>
      post({ kind: "notification", client: number, channel: name, payload }),
    );
    client.on("error", (error) => {
      clients.delete(number);
      post({ kind: "dead", client: number, error: errorData(error) });
    });
    return client;
  }

  async function speaker(number: number): Promise<Pick<SqlPool, "query">> {
    if (number === POOL) return pool;
    const client = clients.get(number);
    if (client === undefined) throw new Error("this client was released");
    return client;
  }

  async function query(message: Extract<ToOwner, { kind: "query" }>): Promise<void> {
    const { id, text, params } = message;
    try {
      const result: SqlResult = await (await speaker(message.client)).query(
        text,
        params ?? undefined,
      );
      post({ kind: "result", id, result: { rows: result.rows, rowCount: result.rowCount } });
    } catch (error) {
      post({ kind: "error", id, error: errorData(error) });
    }
  }

  function release(number: number): void {
    const client = clients.get(number);
    clients.delete(number);
    client?.then((found) => found.release()).catch(() => {});
  }

  channel.onMessage((body) => {
    const message = body as ToOwner;
    if (message.kind === "query") void query(message);
    else if (message.kind === "connect") clients.set(message.client, connect(message.client));
    else release(message.client);
  });
  channel.onClose(() => {
    for (const number of [...clients.keys()]) release(number);
  });
}
