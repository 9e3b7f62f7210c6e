/**
 * What is due when: a binary heap of acts, for hundreds of thousands of them under one timer.
 *
 * The schedule is what makes the load open-loop. An act is due at its time
 * whatever the server does, and how late it ran is the generator's own
 * lateness, which the run reports.
 * @module
 */

interface Entry {
  readonly atMs: number;
  readonly act: (atMs: number) => void;
}

export class Agenda {
  readonly #heap: Entry[] = [];

  /** `act` is given the time it was due. */
  at(atMs: number, act: (atMs: number) => void): void {
    const heap = this.#heap;
    const entry = { atMs, act };
    let place = heap.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent] as Entry;
      if (above.atMs <= atMs) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = entry;
  }

  /** Runs what is due by `nowMs`, the earliest first, at most `countMax` acts; gives how many it ran. */
  run(nowMs: number, countMax: number): number {
    let count = 0;
    while (count < countMax) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > nowMs) break;
      this.#removeFirst();
      first.act(first.atMs);
      count += 1;
    }
    return count;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const rightIsLess =
        right < heap.length && (heap[right] as Entry).atMs < (heap[left] as Entry).atMs;
      const child = rightIsLess ? right : left;
      if ((heap[child] as Entry).atMs >= last.atMs) break;
      heap[place] = heap[child] as Entry;
      place = child;
    }
    heap[place] = last;
  }
}
