/**
 * Devices that must be served now: after a SUBSCRIBE, a pull, a PUBACK that
 * freed the line, a refusal.
 *
 * A set, not a queue of events: a device is due once however often it asks, so
 * the memory is bounded by the devices connected. One that comes alone is
 * served at once; under load a batch gathers for some milliseconds, because a
 * question to the source costs the same for one device as for a hundred.
 * @module
 */
import {
  type BackoffPolicy,
  backoffDelayMs,
  type Clock,
  type Random,
  type Timer,
} from "../src/core/index.ts";
import type { Logger } from "../src/observe/index.ts";

export interface DueOptions<Member> {
  /** Serves one batch; rejects when the world broke, and the batch stays due. */
  serve(members: readonly Member[]): Promise<void>;
  readonly batchCountMax: number;
  /** Batches under way at once. */
  readonly parallelCountMax: number;
  /** The least time from one batch to the next, milliseconds, ≥ 0; a full batch does not wait. */
  readonly gatherMs: number;
  readonly backoff: BackoffPolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Due<Member> {
  readonly #options: DueOptions<Member>;
  readonly #members = new Set<Member>();
  #running = 0;
  #failures = 0;
  #retry: Timer | null = null;
  #gathering: Timer | null = null;
  #pumpedMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: DueOptions<Member>) {
    this.#options = options;
  }

  add(member: Member): void {
    if (this.#stopped) return;
    this.#members.add(member);
    const { clock, gatherMs, batchCountMax } = this.#options;
    const waitMs = this.#pumpedMs + gatherMs - clock.monotonicMs();
    if (waitMs <= 0 || this.#members.size >= batchCountMax) this.#pump();
    else this.#gathering ??= clock.after(waitMs, () => this.#gathered());
  }

  /** The member left; a batch that already holds it finds it closed. */
  remove(member: Member): void {
    this.#members.delete(member);
  }

  stop(): void {
    this.#stopped = true;
    this.#members.clear();
    this.#retry?.cancel();
    this.#retry = null;
    this.#gathering?.cancel();
    this.#gathering = null;
  }

  #gathered(): void {
    this.#gathering = null;
    this.#pump();
  }

  #pump(): void {
    const { parallelCountMax, clock } = this.#options;
    while (this.#retry === null && this.#running < parallelCountMax && this.#members.size > 0) {
      this.#running += 1;
      this.#pumpedMs = clock.monotonicMs();
      void this.#serve(this.#takeBatch());
    }
  }

  #takeBatch(): Member[] {
    const batch: Member[] = [];
    for (const member of this.#members) {
      if (batch.length === this.#options.batchCountMax) break;
      batch.push(member);
      this.#members.delete(member);
    }
    return batch;
  }

  async #serve(batch: Member[]): Promise<void> {
    try {
      await this.#options.serve(batch);
      if (this.#failures > 0) this.#options.log.info("downlink.source-back");
      this.#failures = 0;
    } catch (error) {
      this.#putOff(batch, error);
    } finally {
      this.#running -= 1;
      if (this.#gathering === null) this.#pump();
    }
  }

  #putOff(batch: Member[], error: unknown): void {
    if (this.#stopped) return;
    const { clock, random, backoff, log } = this.#options;
    for (const member of batch) this.#members.add(member);
    if (this.#retry !== null) return;
    if (this.#failures === 0) log.warn("downlink.source-failed", { error });
    const delayMs = backoffDelayMs(backoff, this.#failures, random);
    this.#failures += 1;
    this.#retry = clock.after(delayMs, () => {
      this.#retry = null;
      this.#pump();
    });
  }
}
