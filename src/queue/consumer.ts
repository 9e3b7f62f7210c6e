/**
 * The consumer: a BullMQ worker that never gives a job up.
 *
 *   created ──start──▶ fetching ──stop──▶ finishing ──all done──▶ stopped
 *                                             └──bound passed──▶ forced ─▶ stopped
 *
 * Two things BullMQ leaves to us. `worker.close()` has no limit, and once it
 * was called gently it cannot be called with force: so we pause first, watch
 * our own handlers, and close with force when the bound passes. And a job that
 * still lands in `failed` stays there for ever: a sweep puts it back.
 * @module
 */
import type { Job, Queue, Worker, WorkerOptions } from "bullmq";
import type { Clock, Random } from "../core/index.ts";
import {
  assert,
  messageOf,
  OmegaError,
  type Timer,
  TransportError,
  within,
} from "../core/index.ts";
import type { Logger, Metrics } from "../observe/index.ts";
import { decodeBatch } from "./batch.ts";
import { errorLog } from "./failures.ts";
import { COUNT_MAX, RETRY_BACKOFF, retryDelayMs } from "./job-options.ts";
import type { ConsumerHooks, DeltaConsumer, EntryHandler, QueueEntry } from "./port.ts";

export interface ConsumerSettings {
  /** Jobs handled at once. */
  readonly concurrency: number;
  /** How long a worker that fell silent keeps its jobs, milliseconds. Renewed at half of it. */
  readonly lockMs: number;
  /** How often workers look for jobs whose lock ran out, milliseconds. A dead consumer's jobs run again after at most lockMs + 2 × this. */
  readonly stalledCheckMs: number;
  /** How long stop() waits for handlers, milliseconds. */
  readonly stopTimeoutMs: number;
  /** How long start() waits for the backend, milliseconds. */
  readonly startTimeoutMs: number;
  /** How often failed jobs are put back, milliseconds. */
  readonly sweepMs: number;
}

export const DEFAULT_CONSUMER: ConsumerSettings = {
  concurrency: 32,
  lockMs: 5_000,
  stalledCheckMs: 1_000,
  stopTimeoutMs: 10_000,
  startTimeoutMs: 10_000,
  sweepMs: 15_000,
};

/** How long a gentle close may take once no handler runs. */
const CLOSE_TIMEOUT_MS = 2_000;
/** Failed jobs put back in one sweep. */
const SWEEP_JOBS_MAX = 1_000;

/** What a backend makes for one consumer. */
export interface ConsumerParts {
  readonly worker: Worker;
  readonly queue: Queue;
  /** Drops the connections without asking the server; must not wait for an answer. */
  readonly dispose: () => Promise<void>;
}

export interface ConsumerOptions {
  readonly shard: number;
  readonly handle: EntryHandler;
  readonly hooks: ConsumerHooks;
  readonly settings: ConsumerSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly connect: (
    processor: (job: Job) => Promise<void>,
    options: Omit<WorkerOptions, "connection">,
  ) => ConsumerParts;
}

/** The worker options that keep a job until its handler resolved. */
export function workerOptions(
  settings: ConsumerSettings,
  random: Random,
): Omit<WorkerOptions, "connection"> {
  return {
    autorun: false,
    concurrency: settings.concurrency,
    lockDuration: settings.lockMs,
    stalledInterval: settings.stalledCheckMs,
    maxStalledCount: COUNT_MAX,
    removeOnComplete: { count: 0 },
    // How soon a worker asks again after the backend was away; BullMQ's default is 15 s.
    runRetryDelay: 1_000,
    settings: {
      backoffStrategy: (attemptsMade) => retryDelayMs(RETRY_BACKOFF, random, attemptsMade),
    },
  };
}

export function createConsumer(options: ConsumerOptions): DeltaConsumer {
  const { shard, settings, clock, hooks } = options;
  const log = options.log.child({ shard });
  const handled = options.metrics.counter("omega_queue_jobs_done_total", "Jobs handled.");
  const retried = options.metrics.counter(
    "omega_queue_jobs_retried_total",
    "Handlings that ended in an error and will be tried again.",
  );
  const poisoned = options.metrics.counter(
    "omega_queue_jobs_poison_total",
    "Jobs whose bytes are not a batch.",
  );
  const running = new Set<string>();
  let whenIdle: (() => void) | null = null;
  let parts: ConsumerParts | null = null;
  let sweepTimer: Timer | null = null;
  let stopping: Promise<void> | null = null;

  async function process(job: Job): Promise<void> {
    const jobId = job.id ?? "";
    const run = `${jobId}/${job.attemptsStarted}`;
    running.add(run);
    try {
      const entries = await open(job, jobId);
      if (entries !== null) await options.handle(entries, jobId);
      handled.add();
    } catch (error) {
      retried.add();
      // A plain error of ours: BullMQ gives some names and whole messages a meaning of its own.
      throw new Error(`handler: ${messageOf(error)}`, { cause: error });
    } finally {
      running.delete(run);
      if (running.size === 0) whenIdle?.();
    }
  }

  /** The entries, or null once a poison job has been handed over. */
  async function open(job: Job, jobId: string): Promise<readonly QueueEntry[] | null> {
    try {
      return decodeBatch(bytesOf(job));
    } catch (error) {
      if (!(error instanceof OmegaError)) throw error;
      poisoned.add();
      const poison = { shard, jobId, reason: error.reason, detail: error.message, raw: rawOf(job) };
      if (hooks.onPoison === undefined) log.error("queue.poison", { ...poison });
      else await hooks.onPoison(poison);
      return null;
    }
  }

  async function sweep(queue: Queue): Promise<void> {
    try {
      const failed = await queue.getFailedCount();
      if (failed > 0) {
        log.warn("queue.failed.retried", { failed });
        await queue.retryJobs({ state: "failed", count: SWEEP_JOBS_MAX });
      }
    } catch (error) {
      log.warn("queue.sweep.failed", { error: messageOf(error) });
    }
    if (stopping !== null) return;
    sweepTimer = clock.after(settings.sweepMs, () => void sweep(queue), { background: true });
  }

  function listen({ worker, queue }: ConsumerParts): void {
    const onError = errorLog(log, "queue.consumer.error", clock);
    worker.on("error", onError);
    queue.on("error", onError);
    worker.on("stalled", (jobId) => log.info("queue.stalled", { jobId }));
    worker.on("failed", (job, error) => {
      if (job?.finishedOn === undefined) {
        log.info("queue.retry", { jobId: job?.id, error: error.message });
        return;
      }
      log.error("queue.failed", { jobId: job.id, error: error.message });
      hooks.onFailed?.({ shard, jobId: job.id ?? "", reason: error.message });
    });
  }

  async function start(): Promise<void> {
    assert(parts === null, "a consumer starts once");
    if (stopping !== null)
      throw new TransportError("queue.unavailable", "this consumer was stopped");
    const made = options.connect(process, workerOptions(settings, options.random));
    parts = made;
    listen(made);
    const ready = Promise.all([made.worker.waitUntilReady(), made.queue.waitUntilReady()]);
    const unavailable = (cause?: unknown) =>
      new TransportError("queue.unavailable", `shard ${shard}: the queue does not answer`, {
        cause,
      });
    try {
      await within(clock, settings.startTimeoutMs, ready, unavailable);
    } catch (error) {
      stopping ??= dispose(made);
      await stopping;
      throw error instanceof TransportError ? error : unavailable(error);
    }
    if (stopping !== null) return;
    made.worker
      .run()
      .catch((error) => log.error("queue.worker.ended", { error: messageOf(error) }));
    await sweep(made.queue);
  }

  function idle(): Promise<void> {
    if (running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      whenIdle = resolve;
    });
  }

  async function finish(): Promise<void> {
    sweepTimer?.cancel();
    if (parts === null) return;
    const { worker, queue } = parts;
    await worker.pause(true);
    const late = () => new Error("late");
    const finished = await within(clock, settings.stopTimeoutMs, idle(), late).then(
      () => true,
      () => false,
    );
    if (!finished) log.warn("queue.stop.forced", { running: running.size });
    const close = worker.close(!finished).then(() => queue.close());
    await within(clock, CLOSE_TIMEOUT_MS, close, late).catch((error) =>
      log.warn("queue.close.abandoned", { error: messageOf(error) }),
    );
    await dispose(parts);
  }

  async function dispose(made: ConsumerParts): Promise<void> {
    sweepTimer?.cancel();
    const late = () => new Error("late");
    await within(clock, CLOSE_TIMEOUT_MS, made.dispose(), late).catch((error) =>
      log.warn("queue.dispose.abandoned", { error: messageOf(error) }),
    );
  }

  return {
    start,
    stop() {
      stopping ??= finish();
      return stopping;
    },
  };
}

function bytesOf(job: Job): Uint8Array {
  const batch: unknown = job.data?.batch;
  return Buffer.from(typeof batch === "string" ? batch : "", "base64");
}

function rawOf(job: Job): string {
  const batch: unknown = job.data?.batch;
  return typeof batch === "string" ? batch : JSON.stringify(job.data ?? null);
}
