/**
 * Virtual time: a queue of moments, and the loop that lives through them.
 *
 * Everything that happens in a simulated world is an act at a moment. Between
 * two acts every promise is given its turn, so that an act and all that
 * follows from it without waiting is one indivisible step. Moments of the same
 * time come in the order in which they were planned; nothing else decides
 * anything, so the same seed leads to the same history.
 * @module
 */
import type { Timer } from "../../core/index.ts";

interface Moment {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
  cancelled: boolean;
}

export class Timeline {
  /** A binary heap, the next moment first. */
  readonly #heap: Moment[] = [];
  #nowMs = 0;
  #planned = 0;
  #lived = 0;

  /** Milliseconds since the world began; with fractions. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Moments lived through. */
  get moments(): number {
    return this.#lived;
  }

  /** Plans `act` for `delayMs` (≥ 0) from now. */
  after(delayMs: number, act: () => void): Timer {
    this.#planned += 1;
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const moment: Moment = { atMs, order: this.#planned, act, cancelled: false };
    this.#push(moment);
    return {
      cancel: () => {
        moment.cancelled = true;
      },
    };
  }

  /** Lives until `done` says so after a moment, or nothing is planned any more. */
  async live(done: () => boolean): Promise<void> {
    await settled();
    while (!done()) {
      const moment = this.#pop();
      if (moment === undefined) return;
      if (moment.cancelled) continue;
      this.#nowMs = moment.atMs;
      this.#lived += 1;
      moment.act();
      await settled();
    }
  }

  #push(moment: Moment): void {
    const heap = this.#heap;
    let at = heap.push(moment) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Moment;
      if (!isBefore(moment, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = moment;
  }

  #pop(): Moment | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Moment)) child += 1;
      if (!isBefore(heap[child] as Moment, last)) break;
      heap[at] = heap[child] as Moment;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Moment, b: Moment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Resolves when every promise that could go on has done so: the event loop gets here only then. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
