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
import type { Job, Queue, WorkerOptions } from "bullmq";
import {
  assert,
  type Clock,
  messageOf,
  OmegaError,
  type Random,
  type Timer,
  TransportError,
  within,
} from "../core/index.ts";
import type { Logger, Metrics } from "../observe/index.ts";
import { decodeBatch } from "./batch.ts";
import { type ClaimedBytes, isClaim } from "./claims.ts";
import type { EagerWorker } from "./eager-worker.ts";
import { errorLog } from "./failures.ts";
import { COUNT_MAX, RETRY_BACKOFF, retryDelayMs } from "./job-options.ts";
import type { ConsumerHooks, DeltaConsumer, EntryHandler, QueueEntry } from "./port.ts";

export interface ConsumerSettings {
  /** Jobs handled at once: as many as come in one commit interval, or commits are smaller. */
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
  concurrency: 128,
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
/** How soon a worker asks again after the backend was away; BullMQ's default is 15 s. */
const BACKEND_RETRY_DELAY_MS = 1_000;

/** What a backend makes for one consumer. */
interface ConsumerParts {
  readonly worker: EagerWorker;
  readonly queue: Queue;
  /** The bytes beside the jobs, where the backend keeps them there. */
  readonly claims?: ClaimedBytes;
  /** Mends what workers with a wrong clock have left; gives how much that was. */
  readonly mendClocks?: () => Promise<number>;
  /** Lets what is told to the backend in this turn leave together. */
  readonly gather?: () => void;
  /** Drops the connections without asking the server. */
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

export class ShardConsumer implements DeltaConsumer {
  readonly #options: ConsumerOptions;
  readonly #log: Logger;
  readonly #count: ReturnType<typeof counters>;
  /** Handlings under way, as job id and attempt. */
  readonly #running = new Set<string>();
  #whenIdle: (() => void) | null = null;
  #parts: ConsumerParts | null = null;
  #sweepTimer: Timer | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#log = options.log.child({ shard: options.shard });
    this.#count = counters(options.metrics);
  }

  async start(): Promise<void> {
    const { settings, random, clock, connect, shard } = this.#options;
    assert(this.#parts === null, "a consumer starts once");
    if (this.#stopping !== null) {
      throw new TransportError("queue.unavailable", "this consumer was stopped");
    }
    const parts = connect((job) => this.#process(job), workerOptions(settings, random));
    this.#parts = parts;
    this.#listen(parts);
    const ready = Promise.all([parts.worker.waitUntilReady(), parts.queue.waitUntilReady()]);
    const late = (cause?: unknown) =>
      new TransportError("queue.unavailable", `shard ${shard}: the queue does not answer`, {
        cause,
      });
    try {
      await within(clock, settings.startTimeoutMs, ready, late);
    } catch (error) {
      this.#stopping ??= this.#dispose(parts);
      await this.#stopping;
      throw error instanceof TransportError ? error : late(error);
    }
    // stop() came meanwhile and has taken the parts.
    if (this.#stopping !== null) return;
    parts.worker
      .run()
      .catch((error) => this.#log.error("queue.worker.ended", { error: messageOf(error) }));
    await this.#sweep(parts);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#finish();
    return this.#stopping;
  }

  async #process(job: Job): Promise<void> {
    const jobId = job.id ?? "";
    const run = `${jobId}/${job.attemptsStarted}`;
    this.#running.add(run);
    try {
      const entries = await this.#open(job, jobId);
      if (entries !== null) await this.#options.handle(entries, jobId);
      this.#count.done.add();
    } catch (error) {
      this.#count.retried.add();
      // A plain error of ours: BullMQ gives some names and whole messages a meaning of its own.
      throw new Error(`handler: ${messageOf(error)}`, { cause: error });
    } finally {
      // One commit ends many jobs in one turn, and each of them is now reported.
      this.#parts?.gather?.();
      this.#running.delete(run);
      if (this.#running.size === 0) this.#whenIdle?.();
    }
  }

  /** The entries, or null once a poison job has been handed over. */
  async #open(job: Job, jobId: string): Promise<readonly QueueEntry[] | null> {
    const { shard, hooks } = this.#options;
    let bytes: Buffer | null = null;
    try {
      bytes = await this.#bytesOf(job, jobId);
      return decodeBatch(bytes ?? Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof OmegaError)) throw error;
      this.#count.poison.add();
      const raw = inlineOf(job) ?? bytes?.toString("base64") ?? JSON.stringify(job.data ?? null);
      const poison = { shard, jobId, reason: error.reason, detail: error.message, raw };
      if (hooks.onPoison === undefined) this.#log.error("queue.poison", { ...poison });
      else await hooks.onPoison(poison);
      return null;
    }
  }

  /** The job's bytes, beside it or in it; null when it names none. Rejects as `ClaimedBytes.read` does. */
  async #bytesOf(job: Job, jobId: string): Promise<Buffer | null> {
    const claims = this.#parts?.claims;
    if (claims !== undefined && isClaim(job.data)) return await claims.read(jobId);
    const text = inlineOf(job);
    return text === null ? null : Buffer.from(text, "base64");
  }

  #listen({ worker, queue }: ConsumerParts): void {
    const { shard, hooks, clock } = this.#options;
    const onError = errorLog(this.#log, "queue.consumer.error", clock);
    worker.on("error", onError);
    queue.on("error", onError);
    worker.on("stalled", (jobId) => this.#log.info("queue.stalled", { jobId }));
    worker.on("failed", (job, error) => {
      // Only a job that will not be retried has an end.
      if (job?.finishedOn === undefined) {
        this.#log.info("queue.retry", { jobId: job?.id, error: error.message });
        return;
      }
      this.#log.error("queue.failed", { jobId: job.id, error: error.message });
      hooks.onFailed?.({ shard, jobId: job.id ?? "", reason: error.message });
    });
  }

  /** Puts failed jobs back and mends what wrong clocks have left, now and from time to time. */
  async #sweep(parts: ConsumerParts): Promise<void> {
    const { clock, settings } = this.#options;
    const { queue } = parts;
    try {
      const mended = (await parts.mendClocks?.()) ?? 0;
      if (mended > 0) this.#log.warn("queue.clock.wrong", { mended });
      const failed = await queue.getFailedCount();
      if (failed > 0) {
        this.#log.warn("queue.failed.retried", { failed });
        await queue.retryJobs({ state: "failed", count: SWEEP_JOBS_MAX });
      }
    } catch (error) {
      this.#log.warn("queue.sweep.failed", { error: messageOf(error) });
    }
    if (this.#stopping !== null) return;
    const again = () => void this.#sweep(parts);
    this.#sweepTimer = clock.after(settings.sweepMs, again, { background: true });
  }

  async #finish(): Promise<void> {
    this.#sweepTimer?.cancel();
    if (this.#parts === null) return;
    const { worker, queue } = this.#parts;
    const { clock, settings } = this.#options;
    await worker.pause(true);
    const finished = await within(clock, settings.stopTimeoutMs, this.#idle(), late).then(
      () => true,
      () => false,
    );
    if (!finished) this.#log.warn("queue.stop.forced", { running: this.#running.size });
    const close = worker.close(!finished).then(() => queue.close());
    await within(clock, CLOSE_TIMEOUT_MS, close, late).catch((error) => {
      this.#log.warn("queue.close.abandoned", { error: messageOf(error) });
      return worker.stopLockTimer();
    });
    await this.#dispose(this.#parts);
  }

  #idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  async #dispose(parts: ConsumerParts): Promise<void> {
    await within(this.#options.clock, CLOSE_TIMEOUT_MS, parts.dispose(), late).catch((error) =>
      this.#log.warn("queue.dispose.abandoned", { error: messageOf(error) }),
    );
  }
}

/** The bytes that a job carries itself, in base64: on PostgreSQL, and from producers before claims. */
function inlineOf(job: Job): string | null {
  const batch: unknown = job.data?.batch;
  return typeof batch === "string" ? batch : null;
}

/** The worker options that keep a job until its handler resolved. */
function workerOptions(
  settings: ConsumerSettings,
  random: Random,
): Omit<WorkerOptions, "connection"> {
  return {
    autorun: false,
    concurrency: settings.concurrency,
    lockDuration: settings.lockMs,
    stalledInterval: settings.stalledCheckMs,
    maxStalledCount: COUNT_MAX,
    runRetryDelay: BACKEND_RETRY_DELAY_MS,
    settings: {
      backoffStrategy: (attemptsMade) => retryDelayMs(RETRY_BACKOFF, random, attemptsMade),
    },
  };
}

function counters(metrics: Metrics) {
  return {
    done: metrics.counter("omega_queue_jobs_done_total", "Jobs handled."),
    retried: metrics.counter(
      "omega_queue_jobs_retried_total",
      "Handlings that ended in an error and will be tried again.",
    ),
    poison: metrics.counter("omega_queue_jobs_poison_total", "Jobs whose bytes are not a batch."),
  };
}

function late(): Error {
  return new Error("not done within its bound");
}
