/**
 * What may never be, by number, and how one breach of it is told.
 * @module
 */

/** The invariants that the oracle decides, in words. */
export const INVARIANTS = {
  I0: "no part fails in a way that it did not expect",
  I1: "what was acknowledged is applied exactly once or dead-lettered with a reason; PUBACKs leave in order",
  I2: "each (device, epoch, seq) has one content and counts once",
  I3: "what was not acknowledged is in the outbox or applied: the last word of each device arrives",
  I4: "no gaps at rest",
  I5: "versions rise by one at the publisher and never fall at a device that has its memory",
  I6: "every device holds the newest release with the same hash, in time",
  I7: "the state is that of a reference fold, bit for bit, written under a valid lease only",
  I8: "outboxes and queue drain, in time",
  I9: "one live session of a device at a gateway",
  I10: "what a device believes the server holds is what it holds",
} as const;
export type Invariant = keyof typeof INVARIANTS;

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}
