/**
 * The producer: a lane per shard over BullMQ queues of any backend.
 * @module
 */
import type { JobsOptions, Queue } from "bullmq";
import { assert, type Clock, TransportError, within } from "../core/index.ts";
import type { Metrics } from "../observe/index.ts";
import type { Replicas } from "../redis/index.ts";
import { packBatch, splitBatch } from "./batch.ts";
import type { ClaimData, ClaimWriter } from "./claims.ts";
import { failureOf, unknownOutcome } from "./failures.ts";
import { JOB_OPTIONS } from "./job-options.ts";
import { ByteBudget, Lane } from "./lane.ts";
import { JOB_NAME } from "./names.ts";
import type { DeltaProducer, QueueEntry } from "./port.ts";

export interface ProducerOptions {
  /** One queue per shard, ready. */
  readonly queues: readonly Queue[];
  /** Where the backend keeps bytes beside their job; without it they go into the job as base64. */
  readonly claims?: ClaimWriter;
  /** Who must have an add, beside the server, before it is durable. */
  readonly replicas?: Replicas | null;
  /** See `LaneOptions.parallel`. */
  readonly parallelPerShard: number;
  readonly addTimeoutMs: number;
  readonly pendingBytesMax: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Closes the queues and what they stand on. */
  readonly closeQueues: () => Promise<void>;
}

/** A job that carries its bytes itself, in base64. */
interface InlineData {
  readonly batch: string;
}

const ADD_SECONDS_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export class ShardProducer implements DeltaProducer {
  readonly #options: ProducerOptions;
  readonly #lanes: readonly Lane[];
  readonly #instruments: ReturnType<typeof instruments>;
  #closing: Promise<void> | null = null;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#instruments = instruments(options.metrics);
    const budget = new ByteBudget(options.pendingBytesMax);
    this.#lanes = options.queues.map(
      (queue) =>
        new Lane({
          send: (entries) => this.#send(queue, entries),
          parallel: options.parallelPerShard,
          addTimeoutMs: options.addTimeoutMs,
          budget,
          clock: options.clock,
        }),
    );
  }

  async add(shard: number, entries: readonly QueueEntry[]): Promise<void> {
    const { clock } = this.#options;
    const lane = this.#lanes[shard];
    assert(lane !== undefined, `shard ${shard} is one of ${this.#lanes.length}`);
    if (this.#closing !== null) throw closed();
    const startedMs = clock.monotonicMs();
    const parts = splitBatch(entries).map((part) => lane.add(part));
    // Every part is awaited, so that a second failure is not left unhandled.
    for (const outcome of await Promise.allSettled(parts)) {
      if (outcome.status === "fulfilled") continue;
      const error = failureOf(outcome.reason);
      this.#instruments.failures.add(1, { reason: error.reason });
      throw error;
    }
    this.#instruments.seconds.observe((clock.monotonicMs() - startedMs) / 1_000);
  }

  async depth(): Promise<number> {
    const { clock, queues, addTimeoutMs } = this.#options;
    if (this.#closing !== null) throw closed();
    const counting = Promise.all(
      queues.map((queue) => queue.getJobCountByTypes("wait", "active", "delayed")),
    );
    const late = () => unknownOutcome(`no count from the queue in ${addTimeoutMs} ms`);
    const counts = await within(clock, addTimeoutMs, counting, late).catch((error) => {
      throw failureOf(error);
    });
    return counts.reduce((sum, count) => sum + count, 0);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { clock, addTimeoutMs, closeQueues } = this.#options;
    const settled = Promise.all(this.#lanes.map((lane) => lane.idle())).then(() => {});
    // Past the bound the adds have been answered with "unknown" already.
    await within(clock, addTimeoutMs, settled, () => unknownOutcome("closing")).catch(() => {});
    await closeQueues();
  }

  async #send(queue: Queue, entries: readonly QueueEntry[]): Promise<void> {
    const { claims, replicas = null } = this.#options;
    const bytes = packBatch(entries);
    const add = (data: ClaimData | InlineData, options: JobsOptions = {}) =>
      queue.add(JOB_NAME, data, { ...JOB_OPTIONS, ...options });
    const stored = (): Promise<unknown> =>
      claims === undefined
        ? add({ batch: bytes.toString("base64") })
        : claims.add(queue.qualifiedName, bytes, add);
    // P1: past a fail-over a delta is durable only where the next master has it.
    await (replicas === null ? stored() : replicas.holding(stored));
    this.#instruments.jobs.add();
    this.#instruments.entries.add(entries.length);
  }
}

function instruments(metrics: Metrics) {
  return {
    jobs: metrics.counter("omega_queue_jobs_added_total", "Jobs stored in the queue."),
    entries: metrics.counter("omega_queue_entries_added_total", "Frames stored in the queue."),
    failures: metrics.counter(
      "omega_queue_add_failures_total",
      "Adds that did not end in a durable job, by reason.",
      ["reason"],
    ),
    seconds: metrics.histogram(
      "omega_queue_add_seconds",
      "From add to durable.",
      ADD_SECONDS_BUCKETS,
    ),
  };
}

function closed(): TransportError {
  return new TransportError("queue.unavailable", "this producer was closed");
}
