/**
 * The queue: our own producer and consumer over a BullMQ made for the simulator.
 *
 * What is replaced is BullMQ and the server behind it; lanes, batches, retries,
 * the sweep and the orderly stop are those of production. The worker here
 * fetches, locks, renews, completes and puts off as BullMQ's does, over a
 * connection that can break between any two of these.
 * @module
 */
import { assert, type Random, sleep, type Timer } from "../../core/index.ts";
import { noMetrics, silentLogger } from "../../observe/index.ts";
import {
  type ConsumerHooks,
  type DeltaConsumer,
  type DeltaProducer,
  type EntryHandler,
  ShardConsumer,
  ShardProducer,
} from "../../queue/index.ts";
import type { Ambush } from "./ambush.ts";
import { JobStore, type StoredJob } from "./queue-jobs.ts";
import type { CallErrors, Connection, ServiceState } from "./service.ts";
import type { Timeline } from "./timeline.ts";

export const QUEUE_ERRORS: CallErrors = {
  unavailable: "queue.unavailable",
  unknown: "queue.unknown",
};

const SETTINGS = {
  concurrency: 4,
  lockMs: 10_000,
  stalledCheckMs: 5_000,
  stopTimeoutMs: 3_000,
  startTimeoutMs: 5_000,
  sweepMs: 20_000,
};
const ADD_TIMEOUT_MS = 5_000;
const PARALLEL_PER_SHARD = 8;
/** Answers to adds may overtake one another by this much, as over several connections. */
const ANSWERS_APART_MS = 25;
const PENDING_BYTES_MAX = 1024 * 1024;
/** How long a worker waits for a job in one call, as BullMQ's blocking pop does. */
const BLOCK_MS = 5_000;

/** The server that keeps the jobs. */
export class QueueService {
  readonly state: ServiceState = { up: true };
  readonly shards: readonly JobStore[];
  readonly ambush: Ambush;

  constructor(shards: number, timeline: Timeline, ambush: Ambush) {
    this.ambush = ambush;
    this.shards = Array.from({ length: shards }, () => new JobStore(timeline));
  }

  /** Jobs in any state. */
  depth(): number {
    return this.shards.reduce(
      (sum, jobs) => sum + jobs.count("wait", "active", "delayed", "failed"),
      0,
    );
  }

  jobs(shard: number): JobStore {
    const jobs = this.shards[shard];
    assert(jobs !== undefined, `shard ${shard} exists`);
    return jobs;
  }
}

/** What one process sees of the queue. */
export interface QueueView {
  readonly jobsAtOnce: number;
  producer(): DeltaProducer;
  consumer(shard: number, handle: EntryHandler, hooks?: ConsumerHooks): DeltaConsumer;
}

export function queueView(
  service: QueueService,
  connection: Connection,
  random: Random,
): QueueView {
  const { clock } = connection.life;
  const shared = { clock, metrics: noMetrics };
  const { life } = connection;
  const late = async () => {
    service.ambush.meet(life.name, "added");
    return random.next() * ANSWERS_APART_MS;
  };
  return {
    jobsAtOnce: SETTINGS.concurrency,
    producer: () =>
      new ShardProducer({
        ...shared,
        queues: service.shards.map((jobs) => new SimQueue(jobs, connection, late)) as never,
        parallelPerShard: PARALLEL_PER_SHARD,
        addTimeoutMs: ADD_TIMEOUT_MS,
        pendingBytesMax: PENDING_BYTES_MAX,
        closeQueues: async () => {},
      }),
    consumer: (shard, handle, hooks = {}) =>
      new ShardConsumer({
        ...{ ...shared, shard, handle, hooks, random, log: silentLogger },
        settings: SETTINGS,
        connect: (processor, options) => {
          const jobs = service.jobs(shard);
          const worker = new SimWorker(jobs, connection, processor as never, options as never);
          const queue = new SimQueue(jobs, connection, async () => 0);
          const dispose = async () => worker.abandon();
          return { worker, queue, dispose } as never;
        },
      }),
  };
}

/** The part of BullMQ's `Queue` that is in use. */
class SimQueue {
  readonly #jobs: JobStore;
  readonly #connection: Connection;
  /** Called at the server when a job was added; its answer takes so many milliseconds more. */
  readonly #added: () => Promise<number>;

  constructor(jobs: JobStore, connection: Connection, added: () => Promise<number>) {
    this.#jobs = jobs;
    this.#connection = connection;
    this.#added = added;
  }

  on(): void {}
  async waitUntilReady(): Promise<void> {}
  async close(): Promise<void> {}

  async add(name: string, data: unknown): Promise<void> {
    const lateMs = await this.#connection.call(async () => {
      this.#jobs.add(name, data);
      return await this.#added();
    });
    await this.#connection.life.take(lateMs);
  }

  getJobCountByTypes(...states: StoredJob["state"][]): Promise<number> {
    return this.#connection.call(async () => this.#jobs.count(...states));
  }

  getFailedCount(): Promise<number> {
    return this.#connection.call(async () => this.#jobs.count("failed"));
  }

  retryJobs(): Promise<void> {
    return this.#connection.call(async () => this.#jobs.retryFailed());
  }
}

interface WorkerOptions {
  readonly concurrency: number;
  readonly lockDuration: number;
  readonly stalledInterval: number;
  readonly maxStalledCount: number;
  readonly runRetryDelay: number;
  readonly settings: { backoffStrategy(attemptsMade: number): number };
}

/** The part of the worker over BullMQ's that is in use. */
class SimWorker {
  readonly #jobs: JobStore;
  readonly #connection: Connection;
  readonly #process: (job: StoredJob) => Promise<void>;
  readonly #options: WorkerOptions;
  readonly #lock: string;
  readonly #active = new Map<string, Promise<void>>();
  #phase: "idle" | "running" | "paused" | "ended" = "idle";
  #renewal: Timer | null = null;
  #check: Timer | null = null;
  #freed: (() => void) | null = null;

  constructor(
    jobs: JobStore,
    connection: Connection,
    process: (job: StoredJob) => Promise<void>,
    options: WorkerOptions,
  ) {
    this.#lock = `${connection.life.name}:${jobs.newWorker()}`;
    this.#jobs = jobs;
    this.#connection = connection;
    this.#process = process;
    this.#options = options;
  }

  on(): void {}
  async waitUntilReady(): Promise<void> {
    await this.#connection.call(async () => {});
  }

  async stopLockTimer(): Promise<void> {
    this.abandon();
  }

  /** Fetches and works until the worker is closed. */
  async run(): Promise<void> {
    this.#phase = "running";
    this.#renewLater();
    this.#checkLater();
    const { clock } = this.#connection.life;
    while (this.#phase === "running") {
      if (this.#active.size >= this.#options.concurrency) {
        await new Promise<void>((resolve) => {
          this.#freed = resolve;
        });
        continue;
      }
      const job = await this.#fetch().catch(() => "broken" as const);
      if (job === "broken") await sleep(clock, this.#options.runRetryDelay);
      // A job that was fetched while the worker was paused is worked on, as BullMQ does.
      else if (job !== null && !this.#ended) this.#begin(job);
    }
  }

  get #ended(): boolean {
    return this.#phase === "ended";
  }

  async pause(): Promise<void> {
    this.#phase = "paused";
  }

  async close(force: boolean): Promise<void> {
    if (!force) await Promise.all(this.#active.values());
    this.abandon();
  }

  async disconnect(): Promise<void> {
    this.abandon();
  }

  /** Its jobs come back when their locks have run out. */
  abandon(): void {
    this.#phase = "ended";
    this.#renewal?.cancel();
    this.#check?.cancel();
    this.#freed?.();
  }

  /** Waits for a job at the server, for a while. */
  #fetch(): Promise<StoredJob | null> {
    const { lockDuration } = this.#options;
    return this.#connection.call(async () => {
      const job = this.#jobs.take(this.#lock, lockDuration);
      if (job !== null) return job;
      await this.#someWork();
      return null;
    }, 2 * BLOCK_MS);
  }

  #someWork(): Promise<void> {
    return new Promise((resolve) => {
      const waitMs = Math.min(BLOCK_MS, Math.max(0, this.#jobs.nextDueMs - this.#jobs.nowMs()));
      const off = this.#jobs.whenWork(() => {
        timer.cancel();
        resolve();
      });
      const timer = this.#jobs.after(waitMs, () => {
        off();
        resolve();
      });
    });
  }

  #begin(job: StoredJob): void {
    const work = this.#work(job).finally(() => {
      this.#active.delete(job.id);
      this.#freed?.();
    });
    this.#active.set(job.id, work);
  }

  async #work(job: StoredJob): Promise<void> {
    const { id } = job;
    const failed = await this.#process(job).then(
      () => false,
      () => true,
    );
    if (this.#ended) return;
    const delayMs = failed ? this.#options.settings.backoffStrategy(job.attemptsMade + 1) : 0;
    const told = this.#connection.call(async () => {
      if (failed) this.#jobs.putOff(id, this.#lock, delayMs);
      else this.#jobs.complete(id, this.#lock);
    });
    // Untold, the job comes again when its lock has run out.
    await told.catch(() => {});
  }

  #renewLater(): void {
    const { lockDuration } = this.#options;
    this.#renewal = this.#connection.life.after(lockDuration / 2, () => {
      const ids = [...this.#active.keys()];
      const renew = async () => this.#jobs.renew(ids, this.#lock, lockDuration);
      if (ids.length > 0) this.#connection.call(renew).catch(() => {});
      this.#renewLater();
    });
  }

  #checkLater(): void {
    const { stalledInterval, maxStalledCount } = this.#options;
    this.#check = this.#connection.life.after(stalledInterval, () => {
      const free = async () => void this.#jobs.freeStalled(maxStalledCount);
      this.#connection.call(free).catch(() => {});
      this.#checkLater();
    });
  }
}
