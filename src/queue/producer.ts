/**
 * The producer: a lane per shard over BullMQ queues of any backend.
 * @module
 */
import type { Queue } from "bullmq";
import { assert, type Clock, TransportError, within } from "../core/index.ts";
import type { Metrics } from "../observe/index.ts";
import { encodeBatch, splitBatch } from "./batch.ts";
import { failureOf, unknownOutcome } from "./failures.ts";
import { JOB_OPTIONS } from "./job-options.ts";
import { ByteBudget, Lane } from "./lane.ts";
import { JOB_NAME } from "./names.ts";
import type { DeltaProducer, QueueEntry } from "./port.ts";

export interface ProducerParts {
  /** One queue per shard, ready. */
  readonly queues: readonly Queue[];
  readonly parallelPerShard: number;
  readonly addTimeoutMs: number;
  readonly pendingBytesMax: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Closes the queues and what they stand on. */
  readonly closeParts: () => Promise<void>;
}

const ADD_SECONDS_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export function createProducer(parts: ProducerParts): DeltaProducer {
  const { queues, clock, metrics, addTimeoutMs } = parts;
  const jobs = metrics.counter("omega_queue_jobs_added_total", "Jobs stored in the queue.");
  const added = metrics.counter("omega_queue_entries_added_total", "Frames stored in the queue.");
  const failures = metrics.counter(
    "omega_queue_add_failures_total",
    "Adds that did not end in a durable job, by reason.",
    ["reason"],
  );
  const seconds = metrics.histogram(
    "omega_queue_add_seconds",
    "From add to durable.",
    ADD_SECONDS_BUCKETS,
  );
  const budget = new ByteBudget(parts.pendingBytesMax);

  async function send(queue: Queue, entries: readonly QueueEntry[]): Promise<void> {
    const batch = Buffer.from(encodeBatch(entries)).toString("base64");
    await queue.add(JOB_NAME, { batch }, JOB_OPTIONS);
    jobs.add();
    added.add(entries.length);
  }

  const lanes = queues.map(
    (queue) =>
      new Lane({
        send: (entries) => send(queue, entries),
        parallel: parts.parallelPerShard,
        addTimeoutMs,
        budget,
        clock,
      }),
  );
  let closing: Promise<void> | null = null;

  async function add(shard: number, entries: readonly QueueEntry[]): Promise<void> {
    const lane = lanes[shard];
    assert(lane !== undefined, `shard ${shard} is one of ${lanes.length}`);
    if (closing !== null) throw closed();
    const startedMs = clock.monotonicMs();
    const parts = splitBatch(entries).map((part) => lane.add(part));
    // Every part is awaited, so that a second failure is not left unhandled.
    for (const outcome of await Promise.allSettled(parts)) {
      if (outcome.status === "fulfilled") continue;
      const error = failureOf(outcome.reason);
      failures.add(1, { reason: error.reason });
      throw error;
    }
    seconds.observe((clock.monotonicMs() - startedMs) / 1_000);
  }

  async function depth(): Promise<number> {
    if (closing !== null) throw closed();
    const counting = Promise.all(
      queues.map((queue) => queue.getJobCountByTypes("wait", "active", "delayed")),
    );
    const late = () => unknownOutcome(`no count from the queue in ${addTimeoutMs} ms`);
    const counts = await within(clock, addTimeoutMs, counting, late).catch((error) => {
      throw failureOf(error);
    });
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async function closeAll(): Promise<void> {
    const settled = Promise.all(lanes.map((lane) => lane.idle())).then(() => {});
    // Past the bound the adds have been answered with "unknown" already.
    await within(clock, addTimeoutMs, settled, () => unknownOutcome("closing")).catch(() => {});
    await parts.closeParts();
  }

  return {
    add,
    depth,
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
}

function closed(): TransportError {
  return new TransportError("queue.unavailable", "this producer was closed");
}
