/**
 * The one writer of a shard: many jobs in, one group commit at a time out.
 *
 *   jobs ─▶ read, with their codec models ─▶ open ─▶ load devices ─▶ fold ─▶ commit ─▶ jobs resolve
 *
 * The state in memory is always that of the last commit; a batch lives in
 * drafts until its commit is kept. So a crash between fold and commit is a
 * batch that never was, and its jobs come again (P2). A commit whose outcome is
 * unknown is sent again under the same number until the store has answered or
 * the lease is lost; the next owner then finds the cursors where they are.
 *
 *   writing ──stop()──▶ stopping ──▶ ended
 *      └── lease lost, or the store refused us ──▶ ended (every open job rejects)
 * @module
 */
import {
  assert,
  type DeviceKey,
  InvalidConfigError,
  messageOf,
  OmegaError,
  shardOf,
  type Timer,
  TransportError,
} from "../core/index.ts";
import type { PoisonJob, QueueEntry } from "../queue/index.ts";
import { type Commit, shardLease } from "../store/index.ts";
import { fold } from "./fold.ts";
import { foldForget } from "./fold-forget.ts";
import { poisonLetter } from "./fold-letter.ts";
import type { FoldEntry, Outcome } from "./fold-state.ts";
import { HeldLease } from "./lease.ts";
import { type JobItem, OpenJobs } from "./open-jobs.ts";
import { persist } from "./persist.ts";
import { lacksModel, readEntries, readLacking } from "./read-entries.ts";
import type { Register } from "./register.ts";
import { decodeAll, ShardState } from "./shard-state.ts";
import type { WriterContext } from "./writer-context.ts";

export class ShardWriter {
  readonly shard: number;
  readonly #context: WriterContext;
  readonly #lease: HeldLease;
  readonly #state: ShardState;
  readonly #jobs: OpenJobs;
  /** Ends every wait of ours, at a stop or a loss. */
  readonly #ended = new AbortController();
  #phase: "writing" | "stopping" | "ended" = "writing";
  #timer: Timer | null = null;
  /** The store work under way, one at a time; never rejects. */
  #turn: Promise<void> = Promise.resolve();
  #committing = false;
  #onIdle: (() => void) | null = null;

  private constructor(shard: number, context: WriterContext, lease: HeldLease, state: ShardState) {
    this.shard = shard;
    this.#context = context;
    this.#lease = lease;
    this.#state = state;
    this.#jobs = new OpenJobs(context.settings, context);
    lease.signal.addEventListener("abort", () => this.#lose(lease.signal.reason as Error));
  }

  /**
   * Takes the shard's lease and reads its state; null while another writer holds it. Rejects when
   * the store fails, and with `InvalidConfigError` when its sums have another dimension.
   */
  static async open(shard: number, context: WriterContext): Promise<ShardWriter | null> {
    const { store, owner, clock, log, policy, settings, devices } = context;
    const name = shardLease(shard);
    const ttlMs = settings.leaseTtlMs;
    const lease = await HeldLease.acquire({ store, name, owner, ttlMs, clock, log });
    if (lease === null) return null;
    try {
      const state = await ShardState.load(store, shard, policy, devices);
      lease.signal.throwIfAborted();
      return new ShardWriter(shard, context, lease, state);
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  /** Aborts when the shard is lost; its reason says why. Never after a stop. */
  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  /** The registers of each device of `tenant` that is in memory. */
  registersOf(tenant: string): Iterable<Iterable<Register | null>> {
    return this.#state.registersOf(tenant);
  }

  /**
   * Takes a job. Resolves when every entry was applied, found consumed, or dead-lettered, in
   * commits that the store has kept. Rejects with `TransportError("lease.lost")` when the shard is
   * lost or given back: the queue then hands the job to whoever owns it; as the store does when a
   * codec model could not be had: the queue then tries again; and with `InvalidConfigError` when an
   * entry belongs to another shard.
   */
  async handle(entries: readonly QueueEntry[]): Promise<void> {
    this.#requireWriting();
    const { store, zstd, models } = this.#context;
    const stranger = entries.find((entry) => shardOf(entry.key, store.shards) !== this.shard);
    if (stranger !== undefined) {
      const { tenant, device } = stranger.key;
      const fault = `${tenant}/${device} is queued on shard ${this.shard} of ${store.shards}: gateway and aggregator must agree on the shards`;
      throw new InvalidConfigError([fault]);
    }
    if (entries.length === 0) return;
    const wait = this.#jobs.admit(entries.length);
    if (wait !== null) await wait;
    let done: Promise<void>;
    try {
      this.#requireWriting();
      let read = readEntries(entries, zstd, models);
      if (read.some(lacksModel)) read = await readLacking(read, zstd, models);
      this.#requireWriting();
      done = this.#jobs.add(read);
    } catch (error) {
      this.#jobs.leaveOut(entries.length);
      throw error;
    }
    this.#schedule();
    await done;
  }

  /**
   * Takes every contribution of a device out of the sums and drops what is stored of it. Deltas of
   * it that are still queued make it a new device.
   */
  async forget(key: DeviceKey): Promise<void> {
    assert(shardOf(key, this.#context.store.shards) === this.shard, "the device is of this shard");
    await this.#inTurn(() => this.#forget(key));
  }

  /** Keeps a job that is no batch as a dead letter of nobody's. Rejects as `handle` does. */
  async bury(job: PoisonJob): Promise<void> {
    const { store, clock, log, metrics } = this.#context;
    const letter = poisonLetter(job, store.shards, clock.nowMs());
    const stats = { applied: 0, duplicates: 0, deadLettered: 1 };
    await this.#inTurn(async () => {
      await this.#commit({ sums: [], devices: [], deadLetters: [letter], stats });
      this.#state.keep({ sums: [], devices: new Map() }, new Map());
    });
    const { jobId, reason, detail } = job;
    metrics.deadLetters.add(1, { reason });
    log.error("job.dead-lettered", { shard: this.shard, id: letter.id, jobId, reason, detail });
  }

  /**
   * Takes nothing new, commits what is open, gives the lease back. Bounded by `stopMs`: what is
   * open then rejects. Idempotent.
   */
  async stop(): Promise<void> {
    if (this.#phase === "writing") {
      this.#phase = "stopping";
      this.#jobs.rejectOutside(this.#gone());
      this.#jobs.rejectWaiting(this.#gone());
      await this.#idle();
    }
    this.#end(this.#gone());
    await this.#lease.release();
  }

  /** Resolves when nothing is open or under way, or after `stopMs`. */
  #idle(): Promise<void> {
    const { clock, settings } = this.#context;
    return new Promise((resolve) => {
      const timer = clock.after(settings.stopMs, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
      this.#schedule();
      const checkIdle = () => {
        if (this.#jobs.count === 0) this.#onIdle?.();
      };
      this.#turn.then(checkIdle, checkIdle);
    });
  }

  /** Store work of its own, between two commits of jobs. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    this.#requireWriting();
    const done = this.#turn.then(work);
    this.#turn = done.catch((error: unknown) => this.#fail(error));
    await done;
  }

  #requireWriting(): void {
    if (this.#phase !== "writing") throw this.#gone();
  }

  #gone(): Error {
    const message = `shard ${this.shard} is not written here any more`;
    return new TransportError("lease.lost", message, { detail: { shard: this.shard } });
  }

  #lose(reason: Error): void {
    if (this.#phase === "ended") return;
    const { log, metrics } = this.#context;
    const open = this.#jobs.count;
    metrics.leasesLost.add();
    log.warn("shard.lost", { shard: this.shard, open, message: messageOf(reason) });
    this.#end(reason);
  }

  /**
   * The store refused us, or we are broken. Either way the state in memory may be behind: giving
   * the shard up and reading it again is always right.
   */
  #fail(error: unknown): void {
    const { log } = this.#context;
    if (!(error instanceof OmegaError)) {
      log.error("shard.broken", { shard: this.shard, error });
    }
    this.#lease.lose(messageOf(error));
  }

  #end(reason: Error): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#state.close();
    this.#timer?.cancel();
    this.#jobs.rejectAll(reason);
    this.#ended.abort(reason);
    this.#onIdle?.();
  }

  /** Begins a commit now when one is full or we are stopping, else after the interval. */
  #schedule(): void {
    if (this.#committing || this.#phase === "ended" || this.#jobs.isEmpty) return;
    const { clock, settings } = this.#context;
    if (this.#jobs.isFull || this.#phase === "stopping") {
      this.#begin();
      return;
    }
    this.#timer ??= clock.after(settings.commitIntervalMs, () => this.#begin());
  }

  #begin(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#committing = true;
    this.#turn = this.#turn
      .then(() => this.#commitBatch(this.#jobs.take(this.#state.sums)))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#committing = false;
        this.#schedule();
      });
  }

  async #commitBatch(items: readonly JobItem[]): Promise<void> {
    if (items.length === 0) return;
    const { clock, policy, metrics } = this.#context;
    const startedMs = clock.monotonicMs();
    const entries = items.map((item) => item.entry);
    const devices = await this.#persist(() => this.#state.gather(entries));
    const state = { sums: this.#state.sums, devices };
    const { commit, changes, outcomes } = fold(state, entries, policy, clock.nowMs());
    if (outcomes.some((outcome) => outcome.kind !== "deferred")) {
      await this.#commit(commit);
      this.#state.keep(changes, devices);
      metrics.commitEntries.observe(items.length);
      metrics.commitSeconds.observe((clock.monotonicMs() - startedMs) / 1_000);
    }
    this.#count(entries, outcomes);
    this.#jobs.settle(items, outcomes);
    if (this.#phase === "stopping") this.#jobs.rejectWaiting(this.#gone());
    if (this.#jobs.count === 0) this.#onIdle?.();
  }

  async #forget(key: DeviceKey): Promise<void> {
    const { store } = this.#context;
    const blobs = await this.#persist(() => store.registers(key));
    const [cursor] = await this.#persist(() => store.cursors([key]));
    if (cursor !== null && cursor !== undefined) {
      const device = { cursor, registers: decodeAll(blobs) };
      const marks = this.#state.forgottenCount(key.tenant);
      const { commit, changes } = foldForget(this.#state.sums, key, device, marks);
      await this.#commit(commit);
      this.#state.keepForgotten(key, changes);
    }
    await this.#persist(() => store.forget(this.shard, this.#lease.token, key));
  }

  async #commit(commit: Commit): Promise<void> {
    const { store, beforeCommit, metrics } = this.#context;
    await beforeCommit?.(this.shard, commit);
    const number = this.#state.nextCommitNumber;
    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, commit));
    metrics.commits.add();
  }

  #persist<T>(call: () => Promise<T>): Promise<T> {
    const { clock, random, log, metrics } = this.#context;
    const onRetry = (message: string) => {
      metrics.retries.add();
      log.warn("shard.store-retry", { shard: this.shard, message });
    };
    return persist(call, { clock, random, signal: this.#ended.signal, onRetry });
  }

  #count(entries: readonly FoldEntry[], outcomes: readonly Outcome[]): void {
    const { clock, log, metrics } = this.#context;
    const nowMs = clock.nowMs();
    let applied = 0;
    let duplicates = 0;
    for (const [index, { key, receivedAtMs, read }] of entries.entries()) {
      const outcome = outcomes[index] as Outcome;
      if (outcome.kind === "duplicate") duplicates += 1;
      if (outcome.kind === "retried") metrics.retried.add();
      if (outcome.kind === "applied") {
        applied += 1;
        metrics.lagSeconds.observe(Math.max(0, nowMs - receivedAtMs) / 1_000);
      }
      if (outcome.kind !== "dead-lettered") continue;
      const { reason } = outcome;
      metrics.deadLetters.add(1, { reason });
      log.warn("delta.dead-lettered", { ...key, position: read.position, reason });
    }
    metrics.applied.add(applied);
    metrics.duplicates.add(duplicates);
  }
}
