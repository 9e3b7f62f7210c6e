/**
 * A BullMQ worker that runs a job as soon as it has fetched it.
 *
 *   asleep ──a job comes──▶ fetching 1, 1, 2, 4 … at once ──no more there──▶ asleep
 *                               └──each──▶ running ──ended, with the next──▶ running
 *
 * BullMQ 6.7 fetches one job after the other, runs none before every free slot is filled, and renews
 * no lock of a job that does not run yet: with a hundred slots and answers that take 40 ms, the first
 * of them are taken for stalled. Of BullMQ only public and protected methods are used here.
 * @module
 */
import { type Job, Worker } from "bullmq";
import { assert } from "../core/index.ts";

export class EagerWorker extends Worker {
  /** Jobs asked for at once, ≥ 1. More than 1 only where the backend answers in the order of calls. */
  askedMax = 1;
  #jobs = 0;
  #tokens = 0;
  #onEnd: (() => void) | null = null;

  /** Resolves when the worker was paused or closed and no job runs any more. Rejects when it runs already. */
  override async run(): Promise<void> {
    assert(!this.running, "a worker runs once at a time");
    this.running = true;
    try {
      await this.startStalledCheckTimer();
      this.lockManager.start();
      // What `close` waits for.
      this.mainLoopRunning = this.#fetch();
      await this.mainLoopRunning;
    } finally {
      this.running = false;
    }
  }

  /**
   * A close that waits for a backend that is away never gets to stopping the lock timer (BullMQ 6.7,
   * `Worker.close`), and that timer alone would keep the process alive for ever.
   */
  stopLockTimer(): Promise<void> {
    return this.lockManager.close();
  }

  get #isEnding(): boolean {
    return this.paused || this.closing !== undefined;
  }

  async #fetch(): Promise<void> {
    // Since the queue was last empty: the more there were, the more there may be.
    let foundInARow = 0;
    while (!this.#isEnding) {
      const free = this.concurrency - this.#jobs;
      if (free <= 0) {
        await this.#oneEnds();
        continue;
      }
      const asked = Math.max(1, Math.min(foundInARow, free, this.askedMax));
      const block = foundInARow === 0;
      const asking = Array.from({ length: asked }, () => this.#fetchOne(block));
      const found = (await Promise.all(asking)).filter(Boolean).length;
      foundInARow = found === asked ? foundInARow + found : Math.min(found, 1);
    }
    while (this.#jobs > 0) await this.#oneEnds();
  }

  /** Fetches one job and begins it; whether there was one. `block`: sleeps until there is, when it knows of none. */
  async #fetchOne(block: boolean): Promise<boolean> {
    this.#tokens += 1;
    const token = `${this.id}:${this.#tokens}`;
    try {
      const job = await this.getNextJob(token, { block });
      if (job === undefined) return false;
      void this.#handle(job, token);
      return true;
    } catch (error) {
      if (this.#isEnding) return false;
      this.emit("error", error as Error);
      await this.delay(this.opts.runRetryDelay);
      return false;
    }
  }

  /** Handles a job, and those that are fetched as it ends. */
  async #handle(first: Job, token: string): Promise<void> {
    this.#jobs += 1;
    try {
      let job: Job | undefined = first;
      while (job !== undefined) job = (await this.processJob(job, token)) ?? undefined;
    } catch (error) {
      this.emit("error", error as Error);
    }
    this.#jobs -= 1;
    this.#onEnd?.();
  }

  #oneEnds(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEnd = resolve;
    });
  }
}
