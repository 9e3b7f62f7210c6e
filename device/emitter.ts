/**
 * Typed events without an inheritance: who listens, and what they are told.
 *
 * A listener that throws must not stop the sync loop or its fellow listeners,
 * so its error is thrown again outside, where the process sees it as uncaught.
 * @module
 */

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Calls `listener` on every `event` until the returned function is called. */
  on<Event extends keyof Events>(
    event: Event,
    listener: (value: Events[Event]) => void,
  ): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener as (value: never) => void);
    return () => {
      listeners.delete(listener as (value: never) => void);
    };
  }

  emit<Event extends keyof Events>(event: Event, value: Events[Event]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        (listener as (value: Events[Event]) => void)(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
