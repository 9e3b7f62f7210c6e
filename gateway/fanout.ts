/**
 * Fan-out: brings a new release to every connected device of a tenant, at a pace.
 *
 * A notice (or a poll, because notices are lossy) refreshes the tenant's ladder
 * once; then the devices are walked in chunks, each chunk's views read in one
 * round trip. A newer release during the walk needs no second queue: devices
 * not yet visited get the newest at once, those already visited are walked
 * again afterwards. What is remembered is one flag per tenant and the list
 * being walked, so a burst of releases costs no memory.
 *
 * A slow second walk visits everybody every few minutes for the watermarks
 * (P6) and for refusals whose notice was lost.
 * @module
 */
import {
  type BackoffPolicy,
  backoffDelayMs,
  type Clock,
  type Random,
  sleep,
} from "../src/core/index.ts";
import type { Logger } from "../src/observe/index.ts";
import type { Ladders } from "./ladders.ts";
import type { Pacer } from "./pacer.ts";

/** The devices, as the fan-out walks them. */
export interface Audience<Member> {
  /** Tenants with at least one device that listens. */
  tenants(): string[];
  /** The devices of a tenant that have not been sent `version`. */
  behind(tenant: string, version: number): Member[];
  everyone(tenant: string): Member[];
  /** Reads the views of at most `chunkCount` devices in one round trip and sends what is due. */
  serve(members: readonly Member[]): Promise<void>;
}

export interface FanoutLimits {
  /** Devices per round trip. */
  readonly chunkCount: number;
  /** Upper bound of the random pause before a walk, so that gateways do not read in step. */
  readonly jitterMsMax: number;
  /** Mean time between looks for a release whose notice was lost. */
  readonly pollMs: number;
  /** Mean time between walks for watermarks. */
  readonly refreshMs: number;
}

export interface FanoutOptions<Member> {
  readonly audience: Audience<Member>;
  readonly ladders: Ladders;
  readonly pacer: Pacer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits: FanoutLimits;
  readonly backoff: BackoffPolicy;
}

export class Fanout<Member> {
  readonly #options: FanoutOptions<Member>;
  readonly #walking = new Set<string>();
  readonly #walkAgain = new Set<string>();
  /** The version every device listening at that time was offered. */
  readonly #walked = new Map<string, number>();
  readonly #tasks = new Set<Promise<void>>();
  #stopping = new AbortController();

  constructor(options: FanoutOptions<Member>) {
    this.#options = options;
  }

  start(): void {
    this.#stopping = new AbortController();
    const { pollMs, refreshMs } = this.#options.limits;
    this.#run(this.#every(pollMs, (tenant) => this.#poll(tenant)));
    this.#run(this.#every(refreshMs, (tenant) => this.#offer(tenant, "everyone")));
  }

  /** Resolves when no walk is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("fan-out stopped"));
    await Promise.all(this.#tasks);
  }

  /** A release may exist: looks, and walks the devices that have not got it. Never throws. */
  released(tenant: string): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#walking.has(tenant)) this.#walkAgain.add(tenant);
    else this.#run(this.#walk(tenant));
  }

  async #walk(tenant: string): Promise<void> {
    this.#walking.add(tenant);
    try {
      await this.#pauseUpTo(this.#options.limits.jitterMsMax);
      do {
        this.#walkAgain.delete(tenant);
        const { version } = await this.#insist(tenant, () => this.#options.ladders.refresh(tenant));
        await this.#offer(tenant, "behind", version);
        this.#walked.set(tenant, version);
      } while (this.#walkAgain.has(tenant) || this.#missed(tenant));
    } finally {
      this.#walking.delete(tenant);
      this.#walkAgain.delete(tenant);
    }
  }

  /** A ladder that somebody else refreshed (a device ahead of us) has not been walked yet. */
  #missed(tenant: string): boolean {
    const newest = this.#options.ladders.current(tenant)?.version ?? 0;
    return newest > (this.#walked.get(tenant) ?? 0);
  }

  async #offer(tenant: string, whom: "behind" | "everyone", version = 0): Promise<void> {
    const { audience, pacer, limits, random } = this.#options;
    const members =
      whom === "behind" ? audience.behind(tenant, version) : audience.everyone(tenant);
    // A random start, so that no device is always the last.
    const from = Math.floor(random.next() * members.length);
    const ordered = [...members.slice(from), ...members.slice(0, from)];
    for (let at = 0; at < ordered.length; at += limits.chunkCount) {
      const chunk = ordered.slice(at, at + limits.chunkCount);
      await pacer.take(chunk.length, this.#stopping.signal);
      await this.#insist(tenant, () => audience.serve(chunk));
    }
  }

  async #poll(tenant: string): Promise<void> {
    if (this.#walking.has(tenant)) return;
    await this.#options.ladders.refresh(tenant);
    if (this.#missed(tenant)) this.released(tenant);
  }

  /** Calls `act` for every tenant, every `everyMs` on average, until stopped. */
  async #every(everyMs: number, act: (tenant: string) => Promise<void>): Promise<void> {
    const { audience, log } = this.#options;
    for (;;) {
      await this.#pauseUpTo(2 * everyMs);
      this.#forgetAbsent();
      for (const tenant of audience.tenants()) {
        try {
          await act(tenant);
        } catch (error) {
          this.#stopping.signal.throwIfAborted();
          log.warn("fanout.poll-failed", { tenant, error });
        }
      }
    }
  }

  /** The world broke: tries until it works or we stop. The devices stay owed, so nothing is lost. */
  async #insist<T>(tenant: string, act: () => Promise<T>): Promise<T> {
    const { clock, random, backoff, log } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      this.#stopping.signal.throwIfAborted();
      try {
        return await act();
      } catch (error) {
        if (attempt === 0) log.warn("fanout.source-failed", { tenant, error });
        await sleep(clock, backoffDelayMs(backoff, attempt, random), this.#stopping.signal);
      }
    }
  }

  #pauseUpTo(delayMs: number): Promise<void> {
    const { clock, random } = this.#options;
    return sleep(clock, random.next() * delayMs, this.#stopping.signal);
  }

  #forgetAbsent(): void {
    const present = new Set(this.#options.audience.tenants());
    for (const tenant of this.#walked.keys()) {
      if (!present.has(tenant)) this.#walked.delete(tenant);
    }
  }

  #run(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#options.log.error("fanout.failed", { error });
      })
      .finally(() => this.#tasks.delete(settled));
    this.#tasks.add(settled);
  }
}
