/**
 * Batches: deltas of one shard that arrive within a few milliseconds become
 * one durable add, and share its outcome.
 *
 *   open → closed (by count, bytes or age) → adding → durable
 *                                          ↘ failed, or nothing heard in time
 *
 * Packing is what makes the queue fast (64 deltas in one job: 98k/s against
 * 15k/s one by one). All shards close their batches at one moment, at most a linger after the
 * first delta of any, so that their adds leave together and the queue writes its
 * file once for all. How long a batch stays open follows the load by itself: one
 * that has lingered while another of its shard is still being added goes on
 * filling until that is answered, because a queue that is busy gains nothing
 * from smaller batches. Adds of a shard overlap up to a bound and begin in order,
 * which is the order the producer stores them in, so a device's deltas reach
 * the queue as it sent them. An add that fails or stays silent has an unknown
 * outcome (P1): its deltas are reported as failed, their clients are closed
 * and resend, and the aggregator drops what was stored after all.
 * @module
 */
import {
  type Clock,
  messageOf,
  OmegaError,
  TimeoutError,
  type Timer,
  TransportError,
} from "../src/core/index.ts";
import type { Counter, Histogram, Logger, Metrics } from "../src/observe/index.ts";
import type { DeltaProducer, QueueEntry } from "../src/queue/index.ts";
import type { GatewayLimits } from "./limits.ts";

/** A delta on its way into the queue. */
export interface BatchItem {
  readonly entry: QueueEntry;
  /** Called exactly once: with `null` when durable, else with why it may not be. */
  readonly settled: (error: OmegaError | null) => void;
}

interface Batch {
  readonly shard: number;
  readonly items: BatchItem[];
  bytes: number;
  /** While it stays open behind another, until when at most; once closed, its deadline. */
  timer: Timer | null;
  /** Old enough: it stays open only while another batch of the shard is being added. */
  lingered: boolean;
  answered: boolean;
}

/** A failed add counts against readiness this long, unless one succeeds sooner. */
const FAILING_MS = 5_000;
/** Times `batchLingerMs` that a batch stays open behind an add that does not end. */
const BUSY_LINGERS = 5;

interface Lane {
  open: Batch | null;
  /** Closed, not yet begun; oldest first. */
  readonly queued: Batch[];
  readonly running: Set<Batch>;
}

export interface BatcherOptions {
  readonly producer: Pick<DeltaProducer, "add">;
  readonly shards: number;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #lanes: Lane[];
  readonly #idle: (() => void)[] = [];
  readonly #adds: Counter;
  readonly #deltasPerAdd: Histogram;
  readonly #addMs: Histogram;
  #failedAtMs: number | null = null;
  /** When the open batches have lingered. */
  #linger: Timer | null = null;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.shards }, () => ({
      open: null,
      queued: [],
      running: new Set<Batch>(),
    }));
    const { metrics } = options;
    this.#adds = metrics.counter("omega_gateway_adds_total", "Batches added, by outcome", [
      "outcome",
    ]);
    this.#deltasPerAdd = metrics.histogram(
      "omega_gateway_batch_deltas",
      "Deltas in a batch",
      [1, 2, 4, 8, 16, 32, 64],
    );
    this.#addMs = metrics.histogram(
      "omega_gateway_add_ms",
      "Time of a durable add, milliseconds",
      [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 15_000],
    );
  }

  /** Whether the queue took what it was last given, as far as the last seconds showed. For `/readyz`. */
  get reachable(): boolean {
    if (this.#failedAtMs === null) return true;
    return this.#options.clock.monotonicMs() - this.#failedAtMs >= FAILING_MS;
  }

  /** Puts a delta into the open batch of its shard, in [0, shards). */
  add(shard: number, item: BatchItem): void {
    const lane = this.#lane(shard);
    const { limits, clock } = this.#options;
    const bytes = item.entry.frame.length;
    if (lane.open !== null && lane.open.bytes + bytes > limits.batchBytesMax) this.#close(shard);
    let batch = lane.open;
    if (batch === null) {
      batch = { shard, items: [], bytes: 0, timer: null, lingered: false, answered: false };
      lane.open = batch;
      this.#linger ??= clock.after(limits.batchLingerMs, () => this.#lingered());
    }
    batch.items.push(item);
    batch.bytes += bytes;
    if (batch.items.length >= limits.batchCountMax || batch.bytes >= limits.batchBytesMax) {
      this.#close(shard);
    }
  }

  /** Closes every open batch now and resolves when no delta is unanswered. Bounded by the add timeout. */
  async flush(): Promise<void> {
    this.#closeAll();
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  /** Gives up: every delta without an answer fails now, and nothing is added any more. */
  abort(): void {
    this.#closeAll();
    for (const lane of this.#lanes) {
      const error = new TransportError(
        "queue.closing",
        "the gateway stops before the add was durable",
      );
      for (const batch of [...lane.running, ...lane.queued]) this.#answer(batch, error);
    }
  }

  #lane(shard: number): Lane {
    const lane = this.#lanes[shard];
    if (lane === undefined)
      throw new Error(`assertion failed: shard ${shard} of ${this.#lanes.length}`);
    return lane;
  }

  #lingered(): void {
    this.#linger = null;
    for (const shard of this.#lanes.keys()) this.#aged(shard);
  }

  #aged(shard: number): void {
    const { open, running } = this.#lane(shard);
    if (open === null || open.lingered) return;
    if (running.size === 0) {
      this.#close(shard);
      return;
    }
    open.lingered = true;
    const { limits, clock } = this.#options;
    const restMs = (BUSY_LINGERS - 1) * limits.batchLingerMs;
    open.timer = clock.after(restMs, () => this.#close(shard));
  }

  #closeAll(): void {
    this.#linger?.cancel();
    this.#linger = null;
    for (const shard of this.#lanes.keys()) this.#close(shard);
  }

  #close(shard: number): void {
    const lane = this.#lane(shard);
    const batch = lane.open;
    if (batch === null) return;
    lane.open = null;
    batch.timer?.cancel();
    const { addTimeoutMs } = this.#options.limits;
    batch.timer = this.#options.clock.after(addTimeoutMs, () => {
      const message = `no outcome of a batch of ${batch.items.length} after ${addTimeoutMs} ms`;
      this.#answer(batch, new TimeoutError("queue.unknown", message));
    });
    lane.queued.push(batch);
    this.#begin(lane);
  }

  #begin(lane: Lane): void {
    for (;;) {
      const batch = lane.queued[0];
      if (batch === undefined || lane.running.size >= this.#options.limits.addsPerShardMax) return;
      lane.queued.shift();
      lane.running.add(batch);
      void this.#run(lane, batch);
    }
  }

  /** Holds its place until the producer answers, even after the deadline: hung adds stay bounded. */
  async #run(lane: Lane, batch: Batch): Promise<void> {
    const startedMs = this.#options.clock.monotonicMs();
    let error: OmegaError | null = null;
    try {
      const entries = batch.items.map((item) => item.entry);
      await this.#options.producer.add(batch.shard, entries);
      this.#addMs.observe(this.#options.clock.monotonicMs() - startedMs);
    } catch (thrown) {
      error =
        thrown instanceof OmegaError
          ? thrown
          : new TransportError("queue.add", messageOf(thrown), { cause: thrown });
    }
    lane.running.delete(batch);
    this.#answer(batch, error);
    this.#begin(lane);
    if (lane.open?.lingered && lane.running.size === 0) this.#close(batch.shard);
  }

  #answer(batch: Batch, error: OmegaError | null): void {
    if (batch.answered) return;
    batch.answered = true;
    batch.timer?.cancel();
    const lane = this.#lane(batch.shard);
    const index = lane.queued.indexOf(batch);
    if (index >= 0) lane.queued.splice(index, 1);
    this.#failedAtMs = error === null ? null : this.#options.clock.monotonicMs();
    this.#adds.add(1, { outcome: error?.reason ?? "durable" });
    this.#deltasPerAdd.observe(batch.items.length);
    if (error !== null) {
      this.#options.log.warn("gateway.add.failed", {
        shard: batch.shard,
        deltas: batch.items.length,
        reason: error.reason,
        message: error.message,
      });
    }
    for (const item of batch.items) item.settled(error);
    batch.items.length = 0;
    if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #isIdle(): boolean {
    return this.#lanes.every(
      (lane) =>
        lane.open === null &&
        lane.queued.length === 0 &&
        [...lane.running].every((batch) => batch.answered),
    );
  }
}
