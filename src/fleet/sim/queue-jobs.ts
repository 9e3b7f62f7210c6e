/**
 * The jobs of one shard as BullMQ keeps them in its backend, in its own words.
 *
 *   add ─▶ wait ──taken──▶ active ──completed──▶ gone
 *           ▲                │ │
 *           │   lock ran out │ └─ failed ─▶ delayed ─▶ wait
 *           └────────────────┘
 *   any ─▶ failed, where a job stays until somebody puts it back
 *
 * Modelled after BullMQ 6 (moveToActive, moveToFinished, moveStalledJobsToWait,
 * retryJobs); the worker and the queue that speak to it are in queue.ts.
 * @module
 */

import type { Timer } from "../../core/index.ts";
import type { Timeline } from "./timeline.ts";

export interface StoredJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  state: "wait" | "active" | "delayed" | "failed";
  attemptsMade: number;
  attemptsStarted: number;
  stalled: number;
  /** Who works on it, while it is active. */
  lock: string | null;
  /** Until when, while active; from when on, while delayed. */
  dueMs: number;
}

export class JobStore {
  readonly #timeline: Timeline;
  /** In order of arrival. */
  readonly #jobs = new Map<string, StoredJob>();
  readonly #waiting: string[] = [];
  readonly #onWork = new Set<() => void>();
  #added = 0;
  #workers = 0;

  /** Time is the server's own. */
  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** The number of one more worker. */
  newWorker(): number {
    this.#workers += 1;
    return this.#workers;
  }

  nowMs(): number {
    return this.#timeline.nowMs;
  }

  after(delayMs: number, act: () => void): Timer {
    return this.#timeline.after(delayMs, act);
  }

  add(name: string, data: unknown): StoredJob {
    this.#added += 1;
    const job: StoredJob = {
      id: String(this.#added),
      ...{ name, data, state: "wait" },
      ...{ attemptsMade: 0, attemptsStarted: 0, stalled: 0, lock: null, dueMs: 0 },
    };
    this.#jobs.set(job.id, job);
    this.#putInLine(job);
    return job;
  }

  count(...states: readonly StoredJob["state"][]): number {
    let count = 0;
    for (const job of this.#jobs.values()) if (states.includes(job.state)) count += 1;
    return count;
  }

  /** The next job under `lock` for `lockMs`, or null. */
  take(lock: string, lockMs: number): StoredJob | null {
    this.#promote();
    for (let id = this.#waiting.shift(); id !== undefined; id = this.#waiting.shift()) {
      const job = this.#jobs.get(id);
      if (job?.state !== "wait") continue;
      job.state = "active";
      job.lock = lock;
      job.dueMs = this.nowMs() + lockMs;
      job.attemptsStarted += 1;
      return { ...job };
    }
    return null;
  }

  /** `act` is called once when there is something to take. */
  whenWork(act: () => void): () => void {
    this.#onWork.add(act);
    return () => this.#onWork.delete(act);
  }

  renew(ids: readonly string[], lock: string, lockMs: number): void {
    for (const id of ids) {
      const job = this.#jobs.get(id);
      if (job?.lock === lock) job.dueMs = this.nowMs() + lockMs;
    }
  }

  /** False when `lock` does not hold the job any more. */
  complete(id: string, lock: string): boolean {
    const job = this.#jobs.get(id);
    if (job?.state !== "active" || job.lock !== lock) return false;
    this.#jobs.delete(id);
    return true;
  }

  /** Tried again in `delayMs`. False when `lock` does not hold the job any more. */
  putOff(id: string, lock: string, delayMs: number): boolean {
    const job = this.#jobs.get(id);
    if (job?.state !== "active" || job.lock !== lock) return false;
    job.attemptsMade += 1;
    job.state = "delayed";
    job.lock = null;
    job.dueMs = this.nowMs() + delayMs;
    return true;
  }

  /** Jobs whose lock ran out go back in line, or to `failed` after `stalledMax` times; answers their ids. */
  freeStalled(stalledMax: number): string[] {
    const freed: string[] = [];
    const nowMs = this.nowMs();
    for (const job of this.#jobs.values()) {
      if (job.state !== "active" || job.dueMs > nowMs) continue;
      job.stalled += 1;
      job.lock = null;
      freed.push(job.id);
      if (job.stalled > stalledMax) job.state = "failed";
      else this.#putInLine(job);
    }
    return freed;
  }

  /** Moves a job that waits or is active to `failed`, as BullMQ does for reasons of its own. */
  fail(pick: (ids: readonly string[]) => string): void {
    const ids = [...this.#jobs.values()]
      .filter(({ state }) => state === "wait" || state === "active")
      .map(({ id }) => id);
    if (ids.length === 0) return;
    const job = this.#jobs.get(pick(ids));
    if (job === undefined) return;
    job.state = "failed";
    job.lock = null;
  }

  retryFailed(): void {
    for (const job of this.#jobs.values()) if (job.state === "failed") this.#putInLine(job);
  }

  /** When the next delayed job is due; infinite when none is. */
  get nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { state, dueMs } of this.#jobs.values()) {
      if (state === "delayed") next = Math.min(next, dueMs);
    }
    return next;
  }

  #promote(): void {
    const nowMs = this.nowMs();
    for (const job of this.#jobs.values()) {
      if (job.state === "delayed" && job.dueMs <= nowMs) this.#putInLine(job);
    }
  }

  #putInLine(job: StoredJob): void {
    job.state = "wait";
    job.lock = null;
    this.#waiting.push(job.id);
    const waiters = [...this.#onWork];
    this.#onWork.clear();
    for (const act of waiters) act();
  }
}
