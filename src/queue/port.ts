/**
 * What the queue promises: the one place a delta is safe between its PUBACK and the aggregate.
 *
 * P1 leans on `add`: it resolves when the entries are durable and never
 * earlier. P2 leans on the consumer: every entry added is handed to `handle`
 * at least once and again until that resolves; the aggregator's cursors make
 * it once. Nothing ever leaves the queue without `handle` or `onPoison` having
 * taken it.
 * @module
 */
import type { DeviceKey } from "../core/index.ts";

/** One frame as a gateway received it, unopened. */
export interface QueueEntry {
  readonly key: DeviceKey;
  /** The gateway's clock at arrival, milliseconds since 1970; buckets are cut by it. */
  readonly receivedAtMs: number;
  readonly frame: Uint8Array;
  /**
   * An operator gives a dead-lettered frame a second chance: it is applied although its position
   * was consumed. Never set by a gateway.
   */
  readonly retried?: true;
}

export interface DeltaProducer {
  /**
   * Resolves when every entry is durable, in order of the calls per shard. Rejects with
   *  - `TransportError("queue.busy")`, `("queue.unavailable")`, `("queue.refused")`: not stored;
   *  - `TimeoutError("queue.unknown")`: the outcome is unknown, the entries may yet arrive;
   *  - `SerializationError("batch.*")`: an entry that no queue may carry.
   * In every case no PUBACK may leave (P1).
   */
  add(shard: number, entries: readonly QueueEntry[]): Promise<void>;
  /** Jobs not yet done (waiting, active, delayed) over all shards. Rejects as `add` does. */
  depth(): Promise<number>;
  /** Waits for adds under way, bounded; refuses new ones. Idempotent. */
  close(): Promise<void>;
}

/** A job whose bytes are not a batch: only a bug or a foreign writer makes one. */
export interface PoisonJob {
  readonly shard: number;
  readonly jobId: string;
  /** The `reason` of the decoding error, for instance "batch.truncated". */
  readonly reason: string;
  readonly detail: string;
  /** What the job carried, as text. */
  readonly raw: string;
}

/** A job the backend gave up on. It is put back by the sweep: this is a report, not a loss. */
interface FailedJob {
  readonly shard: number;
  readonly jobId: string;
  readonly reason: string;
}

export interface ConsumerHooks {
  /** Takes the poison job over; when it rejects, the job is tried again. Default: an error log line with the bytes. */
  readonly onPoison?: (job: PoisonJob) => Promise<void> | void;
  readonly onFailed?: (job: FailedJob) => void;
}

export type EntryHandler = (entries: readonly QueueEntry[], jobId: string) => Promise<void>;

export interface DeltaConsumer {
  /** Begins to fetch. Rejects with `TransportError("queue.unavailable")` when the backend does not answer in time. */
  start(): Promise<void>;
  /** Stops fetching and waits for running handlers up to the bound; what still runs then is run again by another consumer. Idempotent. */
  stop(): Promise<void>;
}

export interface QueueBackend {
  readonly kind: "redis" | "postgres" | "embedded";
  /** Jobs of one consumer under way at once, ≥ 1: while all of them are open it hands over no more. */
  readonly jobsAtOnce: number;
  producer(): Promise<DeltaProducer>;
  /** `handle` rejecting means: again later, with backoff, until it resolves. Many jobs run at once. */
  consumer(shard: number, handle: EntryHandler, hooks?: ConsumerHooks): DeltaConsumer;
  /** Closes every producer and consumer it gave out. Idempotent. */
  close(): Promise<void>;
}
