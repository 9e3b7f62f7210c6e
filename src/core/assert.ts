/**
 * Assertions: what must hold unless we ourselves are broken.
 *
 * A failed assertion is a bug in this product, never bad input: it is not
 * caught, it ends the process, and the peer's data is resent to a healthy one.
 * @module
 */

/** Throws a plain `Error` (a crash, not a refusal) unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Marks a branch that the types say is unreachable. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: unreachable value ${JSON.stringify(value)}`);
}
