/**
 * The jobs a shard's writer has open, and which of their entries go into the next commit.
 *
 *   admit ─▶ add ─▶ pending ─▶ taken ─▶ settled ─▶ the job resolves with its last entry
 *                               ▲  │
 *                      waiting ─┘  └─▶ waiting     (deferred, at most `deferMs`, then final)
 *
 * A decoded entry takes many times the memory of its bytes. So no more of them are read than the
 * next commit takes; jobs beyond that stand outside as they came.
 * @module
 */
import type { Clock } from "../core/index.ts";
import { CommitBudget } from "./commit-budget.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { FoldEntry, Outcome } from "./fold-state.ts";
import type { ShardSums } from "./merge.ts";

interface Job {
  open: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A job whose entries are not read yet. */
interface Outside {
  readonly entries: number;
  readonly enter: () => void;
  readonly reject: (error: Error) => void;
}

/** One entry on its way through. */
export interface JobItem {
  readonly job: Job;
  readonly entry: FoldEntry;
  /** On the monotonic clock; null while it was never deferred. */
  readonly waitUntilMs: number | null;
}

export interface JobLimits {
  /** Deltas in one commit. */
  readonly commitEntriesMax: number;
  /** How long a delta waits for the one it refers to, milliseconds. */
  readonly deferMs: number;
  /** Deltas that may wait at once; the longest waiting beyond it are final. */
  readonly deferredMax: number;
}

interface OpenJobsOptions {
  readonly policy: FoldPolicy;
  readonly clock: Clock;
  /** No more are opened before one of them is settled. */
  readonly jobsAtOnce: number;
}

export class OpenJobs {
  readonly #limits: JobLimits;
  readonly #policy: FoldPolicy;
  readonly #clock: Clock;
  readonly #jobsAtOnce: number;
  readonly #jobs = new Set<Job>();
  /** First come, first served. */
  readonly #outside: Outside[] = [];
  /** Entries that were admitted and neither added nor left out. */
  #reading = 0;
  #pending: JobItem[] = [];
  #waiting: JobItem[] = [];

  constructor(limits: JobLimits, { policy, clock, jobsAtOnce }: OpenJobsOptions) {
    this.#limits = limits;
    this.#policy = policy;
    this.#clock = clock;
    this.#jobsAtOnce = jobsAtOnce;
  }

  /** Jobs that neither resolved nor rejected. */
  get count(): number {
    return this.#jobs.size;
  }

  /** Whether there is anything to take. */
  get isEmpty(): boolean {
    return this.#pending.length + this.#waiting.length === 0;
  }

  /** Whether waiting longer adds nothing to the next commit: it holds no more, or no more can come. */
  get isFull(): boolean {
    if (this.#pending.length >= this.#limits.commitEntriesMax) return true;
    return this.#pending.length > 0 && this.#jobs.size >= this.#jobsAtOnce;
  }

  /**
   * Null when as many entries may be read now, else a promise of when they may be; they must then be
   * {@link add added} or {@link leaveOut left out}. It rejects when those outside are rejected.
   */
  admit(entries: number): Promise<void> | null {
    if (this.#outside.length === 0 && this.#hasRoom) {
      this.#reading += entries;
      return null;
    }
    return new Promise((resolve, reject) => {
      this.#outside.push({ entries, enter: resolve, reject });
    });
  }

  /** Those who were admitted could not be read. */
  leaveOut(entries: number): void {
    this.#reading -= entries;
    this.#letIn();
  }

  get #hasRoom(): boolean {
    return this.#pending.length + this.#reading < this.#limits.commitEntriesMax;
  }

  #letIn(): void {
    while (this.#hasRoom) {
      const first = this.#outside.shift();
      if (first === undefined) return;
      this.#reading += first.entries;
      first.enter();
    }
  }

  /** Opens a job of at least one entry, which must have been admitted. */
  add(entries: readonly FoldEntry[]): Promise<void> {
    this.#reading -= entries.length;
    return new Promise((resolve, reject) => {
      const job: Job = { open: entries.length, resolve, reject };
      this.#jobs.add(job);
      for (const entry of entries) this.#pending.push({ job, entry, waitUntilMs: null });
    });
  }

  /** Those who wait first, then as many as one commit on top of `sums` holds. */
  take(sums: ShardSums): JobItem[] {
    const { commitEntriesMax, deferredMax } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const surplus = this.#waiting.length - deferredMax;
    const waiting = this.#waiting.map((item, index): JobItem => {
      const over = item.waitUntilMs !== null && item.waitUntilMs <= nowMs;
      return { ...item, entry: { ...item.entry, final: over || index < surplus } };
    });
    const candidates = [...waiting, ...this.#pending];
    const budget = new CommitBudget(this.#policy, commitEntriesMax + waiting.length, sums);
    let count = 0;
    for (const { entry } of candidates) {
      if (!budget.take(entry)) break;
      count += 1;
    }
    this.#waiting = waiting.slice(count);
    this.#pending = this.#pending.slice(Math.max(0, count - waiting.length));
    this.#letIn();
    return candidates.slice(0, count);
  }

  /** What the commit made of the taken items; outcomes are in their order. */
  settle(items: readonly JobItem[], outcomes: readonly Outcome[]): void {
    for (const [index, item] of items.entries()) {
      if (outcomes[index]?.kind === "deferred") {
        const waitUntilMs = item.waitUntilMs ?? this.#clock.monotonicMs() + this.#limits.deferMs;
        this.#waiting.push({ ...item, waitUntilMs });
        continue;
      }
      item.job.open -= 1;
      if (item.job.open === 0 && this.#jobs.delete(item.job)) item.job.resolve();
    }
  }

  /** Gives up the jobs with an entry that waits: they come again at the next owner. */
  rejectWaiting(error: Error): void {
    for (const { job } of this.#waiting) {
      if (this.#jobs.delete(job)) job.reject(error);
    }
    this.#waiting = [];
  }

  /** Gives up the jobs that stand outside. */
  rejectOutside(error: Error): void {
    for (const { reject } of this.#outside.splice(0)) reject(error);
  }

  rejectAll(error: Error): void {
    this.rejectOutside(error);
    for (const job of this.#jobs) job.reject(error);
    this.#jobs.clear();
    this.#pending = [];
    this.#waiting = [];
  }
}
