/**
 * Batches: deltas of one shard that arrive within a few milliseconds become
 * one durable add, and share its outcome.
 *
 *   open → closed (by count, bytes or age) → adding → durable
 *                                     ↑        ↓
 *                                     └─ rest ─┘ failed, and there is time left
 *
 *   nothing durable within `addTimeoutMs` of closing: failed for good
 *
 * Packing is what makes the queue fast (64 deltas in one job: 98k/s against
 * 15k/s one by one). All shards close their batches at one moment, at most a linger after the
 * first delta of any, so that their adds leave together and the queue writes its
 * file once for all. How long a batch stays open follows the load by itself: one
 * that has lingered while another of its shard is still being added goes on
 * filling until that is answered, because a queue that is busy gains nothing
 * from smaller batches. Adds of a shard overlap up to a bound and begin in order,
 * which is the order the producer stores them in, so a device's deltas reach
 * the queue as it sent them.
 *
 * An add that fails or stays silent has an unknown outcome (P1), and the aggregator drops what was
 * stored twice: so saying it again is safe, and a queue that is away for seconds (a restart, a
 * fail-over) costs its devices a late PUBACK instead of their connections. The shard rests a moment,
 * then its batches are added again in their order, until one deadline after they were closed. What
 * is not durable by then is reported as failed; its clients are closed and resend. So are those of a
 * batch that is stored and lacks its replicas: another copy would bring them no sooner, and fill the
 * memory of the only server left.
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
  /** Its place among the batches of its shard. */
  readonly number: number;
  readonly items: BatchItem[];
  bytes: number;
  /** While it stays open behind another, until when at most; once closed, its deadline. */
  timer: Timer | null;
  /** Old enough: it stays open only while another batch of the shard is being added. */
  lingered: boolean;
  answered: boolean;
  /** Of its last add, if that failed. */
  failure: OmegaError | null;
}

/**
 * A failed add counts against readiness this long, unless one succeeds sooner: longer than the
 * producer's own patience with an add and the longest rest before it, so that a queue which
 * stays away is never taken for one that is back.
 */
const FAILING_MS = 7_000;
/** How long a shard rests after its adds failed; twice as long each time, up to the maximum. */
const REST_MS = 50;
const REST_MS_MAX = 1_000;

/** Times `batchLingerMs` that a batch stays open behind an add that does not end. */
const BUSY_LINGERS = 3;

interface Lane {
  open: Batch | null;
  /** Closed and not being added, be it for the first time or again; oldest first. */
  readonly queued: Batch[];
  readonly running: Set<Batch>;
  /** Until when nothing is added. */
  rest: Timer | null;
  /** Rests since an add was durable. */
  rests: number;
  /** Batches so far. */
  count: number;
}

function newBatch(shard: number, number: number): Batch {
  const state = { timer: null, lingered: false, answered: false, failure: null };
  return { shard, number, items: [], bytes: 0, ...state };
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
  readonly #again: Counter;
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
      rest: null,
      rests: 0,
      count: 0,
    }));
    const { metrics } = options;
    this.#adds = metrics.counter("omega_gateway_adds_total", "Batches added, by outcome", [
      "outcome",
    ]);
    this.#again = metrics.counter(
      "omega_gateway_adds_again_total",
      "Adds that failed and are tried again, by reason",
      ["reason"],
    );
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
      batch = newBatch(shard, lane.count);
      lane.count += 1;
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
      lane.rest?.cancel();
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
    const { open, running, rest } = this.#lane(shard);
    if (open === null || open.lingered) return;
    if (running.size === 0 && rest === null) {
      this.#close(shard);
      return;
    }
    open.lingered = true;
    // At the end of its rest the shard closes it.
    if (rest !== null) return;
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
      this.#answer(batch, batch.failure ?? new TimeoutError("queue.unknown", message));
    });
    lane.queued.push(batch);
    this.#begin(lane);
  }

  #begin(lane: Lane): void {
    while (lane.rest === null && lane.running.size < this.#options.limits.addsPerShardMax) {
      const batch = lane.queued.shift();
      if (batch === undefined) return;
      lane.running.add(batch);
      void this.#run(lane, batch);
    }
  }

  /** Holds its place until the producer answers, even after the deadline: hung adds stay bounded. */
  async #run(lane: Lane, batch: Batch): Promise<void> {
    const failure = await this.#add(batch);
    lane.running.delete(batch);
    if (failure === null) {
      lane.rests = 0;
      this.#failedAtMs = null;
      this.#answer(batch, null);
    } else {
      this.#failed(lane, batch, failure);
    }
    this.#begin(lane);
    if (lane.open?.lingered && lane.running.size === 0 && lane.rest === null) {
      this.#close(batch.shard);
    }
  }

  /** Resolves with null when it is durable, else with why it may not be. */
  async #add(batch: Batch): Promise<OmegaError | null> {
    const { clock, producer } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const entries = batch.items.map((item) => item.entry);
      await producer.add(batch.shard, entries);
      this.#addMs.observe(clock.monotonicMs() - startedMs);
      return null;
    } catch (thrown) {
      if (thrown instanceof OmegaError) return thrown;
      return new TransportError("queue.add", messageOf(thrown), { cause: thrown });
    }
  }

  /** Puts a batch whose add failed back to its place, if it is to be said again, and lets the shard rest. */
  #failed(lane: Lane, batch: Batch, failure: OmegaError): void {
    const { clock, log } = this.#options;
    this.#failedAtMs = clock.monotonicMs();
    if (failure.reason === "queue.unreplicated") this.#answer(batch, failure);
    if (batch.answered) return;
    batch.failure = failure;
    const behind = lane.queued.findIndex((other) => other.number > batch.number);
    lane.queued.splice(behind < 0 ? lane.queued.length : behind, 0, batch);
    const { reason, message } = failure;
    this.#again.add(1, { reason });
    if (lane.rest !== null) return;
    if (lane.rests === 0) log.warn("gateway.add.again", { shard: batch.shard, reason, message });
    const restMs = Math.min(REST_MS * 2 ** lane.rests, REST_MS_MAX);
    lane.rests += 1;
    lane.rest = clock.after(restMs, () => {
      lane.rest = null;
      if (lane.open?.lingered) this.#close(batch.shard);
      this.#begin(lane);
    });
  }

  #answer(batch: Batch, error: OmegaError | null): void {
    if (batch.answered) return;
    batch.answered = true;
    batch.timer?.cancel();
    const lane = this.#lane(batch.shard);
    const index = lane.queued.indexOf(batch);
    if (index >= 0) lane.queued.splice(index, 1);
    this.#adds.add(1, { outcome: error?.reason ?? "durable" });
    this.#deltasPerAdd.observe(batch.items.length);
    if (error !== null) {
      this.#failedAtMs = this.#options.clock.monotonicMs();
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
