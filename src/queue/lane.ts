/**
 * The lane of one shard: adds in order, packed while they wait, bounded in bytes.
 *
 *   waiting ──▶ sent ──▶ settled
 *      │          └─ limit passed: TimeoutError("queue.unknown"), bytes stay counted
 *      └─ limit passed: TransportError("queue.busy"), never sent
 *
 * While `parallel` jobs are on their way, what arrives is packed into the next
 * one. So order per shard is kept even over a pool of connections (parallel 1),
 * and the slower the backend, the better the packing. Bytes count until the
 * backend has answered, not until we stopped waiting: a frozen backend can
 * never collect more than the budget.
 * @module
 */
import { type Clock, type Timer, TransportError } from "../core/index.ts";
import { batchBytes } from "./batch.ts";
import { failureOf, unknownOutcome } from "./failures.ts";
import type { QueueEntry } from "./port.ts";

/**
 * What one job is packed to, a quarter of what a batch may be: a consumer holds many jobs at once, and
 * beyond some sixty deltas a larger one saves next to nothing.
 */
const JOB_ENTRIES_MAX = 256;
const JOB_BYTES_MAX = 256 * 1024;

/** Bytes that all lanes of one producer may hold together. */
export class ByteBudget {
  readonly bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether `bytes` more fit; takes them when they do. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export interface LaneOptions {
  /** Stores one job. Its rejection is mapped by `failureOf`. */
  readonly send: (entries: readonly QueueEntry[]) => Promise<void>;
  /** Jobs on their way at once, ≥ 1. More than 1 only where the backend keeps the order of calls. */
  readonly parallel: number;
  /** How long one add may take, milliseconds, from call to durable. */
  readonly addTimeoutMs: number;
  readonly budget: ByteBudget;
  readonly clock: Clock;
}

interface Waiting {
  readonly entries: readonly QueueEntry[];
  readonly bytes: number;
  sent: boolean;
  readonly settle: (error: Error | null) => void;
}

export class Lane {
  readonly #options: LaneOptions;
  #waiting: Waiting[] = [];
  #onTheWay = 0;
  #idle: (() => void)[] = [];

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** `entries` fit one job. Resolves when durable; rejects as `DeltaProducer.add` does. */
  add(entries: readonly QueueEntry[]): Promise<void> {
    const bytes = batchBytes(entries);
    if (!this.#options.budget.take(bytes)) {
      return Promise.reject(busy("too many bytes are on their way to the queue already"));
    }
    return new Promise((resolve, reject) => {
      let timer: Timer | null = null;
      const item: Waiting = {
        entries,
        bytes,
        sent: false,
        settle: (error) => {
          timer?.cancel();
          if (error === null) resolve();
          else reject(error);
        },
      };
      timer = this.#options.clock.after(this.#options.addTimeoutMs, () => this.#late(item));
      this.#waiting.push(item);
      this.#pump();
    });
  }

  /** Resolves when nothing waits and nothing is on its way. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #isIdle(): boolean {
    return this.#onTheWay === 0 && this.#waiting.length === 0;
  }

  #late(item: Waiting): void {
    const { addTimeoutMs, budget } = this.#options;
    if (item.sent) {
      item.settle(unknownOutcome(`no answer from the queue in ${addTimeoutMs} ms`));
      return;
    }
    this.#waiting = this.#waiting.filter((other) => other !== item);
    budget.release(item.bytes);
    item.settle(busy(`the queue was too slow to take this within ${addTimeoutMs} ms`));
    this.#settleIdle();
  }

  #pump(): void {
    while (this.#onTheWay < this.#options.parallel && this.#waiting.length > 0) {
      const job = this.#nextJob();
      this.#onTheWay += 1;
      void this.#send(job);
    }
  }

  /** Takes from the front what fits one job together; at least one item. */
  #nextJob(): Waiting[] {
    let count = 0;
    let bytes = 0;
    let entries = 0;
    for (const item of this.#waiting) {
      bytes += item.bytes;
      entries += item.entries.length;
      if (count > 0 && (bytes > JOB_BYTES_MAX || entries > JOB_ENTRIES_MAX)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #send(job: readonly Waiting[]): Promise<void> {
    for (const item of job) item.sent = true;
    let error: Error | null = null;
    try {
      await this.#options.send(job.flatMap((item) => item.entries));
    } catch (thrown) {
      error = failureOf(thrown);
    }
    this.#onTheWay -= 1;
    for (const item of job) {
      this.#options.budget.release(item.bytes);
      item.settle(error);
    }
    this.#pump();
    this.#settleIdle();
  }

  #settleIdle(): void {
    if (!this.#isIdle()) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function busy(why: string): TransportError {
  return new TransportError("queue.busy", `the queue is busy: ${why}`);
}
