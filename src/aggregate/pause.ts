/**
 * Letting the event loop serve others between two slices of long work.
 * @module
 */

/** Resolves once everything that was due has had its turn. */
export function pause(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}
