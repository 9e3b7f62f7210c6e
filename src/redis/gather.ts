/**
 * Gathering: what a connection is told within one turn leaves in one write.
 *
 * A turn is a callback of the event loop with every promise that settles because of it; nothing is
 * read meanwhile, so commands of one turn do not wait for each other's answers anyway. A client
 * writes each as it comes: a system call here, a read there, and where Redis syncs its file always,
 * a sync each.
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
  atTurnsEnd(() => {
    turns.delete(key);
    for (const act of lasts) act();
    stream?.uncork();
  });
}

/** A tick that a promise asks for comes when no promise is left to go on. */
function atTurnsEnd(act: () => void): void {
  queueMicrotask(() => process.nextTick(act));
}
