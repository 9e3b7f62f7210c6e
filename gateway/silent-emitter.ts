/**
 * An emitter for aedes that delivers to nobody: whatever is published inside
 * the broker, a client's PUBLISH, a `$SYS` event or a will, ends here.
 *
 * Uplinks leave through the queue and down frames go straight to their socket,
 * so subscriptions need no matching, cost no memory, and cannot leak.
 * @module
 */

/** For aedes' option `mq`. */
export const silentEmitter = {
  on: (_topic: string, _listener: unknown, done?: () => void) => later(done),
  removeListener: (_topic: string, _listener: unknown, done?: () => void) => later(done),
  emit: (_packet: unknown, done?: () => void) => later(done),
  close: (done?: () => void) => later(done),
};

/** Answers in a turn of its own, so that a run of packets cannot become a deep recursion. */
function later(done: (() => void) | undefined): void {
  if (done !== undefined) queueMicrotask(done);
}
