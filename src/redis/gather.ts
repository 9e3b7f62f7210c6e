/**
 * Gathering: what a connection is told within one turn of the event loop leaves in one write.
 *
 * A client writes every command as it comes: a system call here, a read there, and where Redis syncs
 * its file always, a sync each. Commands of one turn cannot wait for each other's answers anyway.
 * @module
 */
import { Cluster, type Redis } from "ioredis";

/** What is still to be done at the end of the turn, by the connection that is held back. */
const turns = new WeakMap<object, (() => void)[]>();

/**
 * Holds back what `client` is told until the end of this turn; `last`, which must not throw, is
 * called then and belongs to the turn as well. Of a cluster's connections none is held back.
 */
export function gather(client: Redis | Cluster, last?: () => void): void {
  const stream = client instanceof Cluster ? null : client.stream;
  const key = stream ?? client;
  const known = turns.get(key);
  if (known !== undefined) {
    if (last !== undefined) known.push(last);
    return;
  }
  const lasts = last === undefined ? [] : [last];
  turns.set(key, lasts);
  stream?.cork();
  setImmediate(() => {
    turns.delete(key);
    for (const act of lasts) act();
    stream?.uncork();
  });
}
