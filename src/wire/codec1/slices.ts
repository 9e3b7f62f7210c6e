/**
 * Long work in slices: a generator that stops every few milliseconds, so that
 * whoever runs it decides between one go and letting an event loop breathe.
 * @module
 */

export type Slices<T> = Generator<void, T>;

/** All slices in one go. */
export function atOnce<T>(work: Slices<T>): T {
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
  }
}

/** Awaits `pause()` between two slices. */
export async function inSlices<T>(work: Slices<T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
    await pause();
  }
}
