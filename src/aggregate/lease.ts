/**
 * A held lease: renewed while it is wanted, and known to be lost as soon as it may be.
 *
 * The store decides who holds what, by its own clock. We only decide to stop in
 * time: a lease counts as lost here when `ttlMs` have passed since the last
 * renewal that succeeded was *sent*, which is never later than the store thinks.
 * Correctness does not hang on it (a stale token cannot commit); it keeps two
 * owners from doing the same work.
 *
 *   held ──release()──▶ released
 *    │
 *    └── refused, or not renewed in time ──▶ lost (the signal aborts)
 * @module
 */
import { type Clock, messageOf, type Timer, TransportError } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import type { Store } from "../store/index.ts";

export interface LeaseOptions {
  readonly store: Pick<Store, "acquireLease" | "renewLease" | "releaseLease">;
  readonly name: string;
  /** Unique per process incarnation. */
  readonly owner: string;
  /** How long it lasts without renewal, milliseconds, > 0. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Renewals per time to live; two may fail before the lease is in danger. */
const RENEWALS_PER_TTL = 3;

export class HeldLease {
  readonly token: number;
  readonly #options: LeaseOptions;
  readonly #lost = new AbortController();
  #expiresAtMs: number;
  #renewal: Timer | null = null;
  #expiry: Timer | null = null;
  #over = false;

  private constructor(options: LeaseOptions, token: number, expiresAtMs: number) {
    this.#options = options;
    this.token = token;
    this.#expiresAtMs = expiresAtMs;
    this.#watchExpiry();
    this.#renewLater(options.ttlMs / RENEWALS_PER_TTL);
  }

  /** Takes the lease; null while another owner holds it. Rejects when the store fails. */
  static async acquire(options: LeaseOptions): Promise<HeldLease | null> {
    const { store, name, owner, ttlMs, clock } = options;
    const expiresAtMs = clock.monotonicMs() + ttlMs;
    const token = await store.acquireLease(name, owner, ttlMs);
    return token === null ? null : new HeldLease(options, token, expiresAtMs);
  }

  /** Aborts with `TransportError("lease.lost")` the moment the lease is lost; never after a release. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get held(): boolean {
    return !this.#over;
  }

  /** Frees the lease at the store, so that another owner need not wait. Idempotent; never rejects. */
  async release(): Promise<void> {
    if (this.#over) return;
    this.#end();
    const { store, name, log } = this.#options;
    try {
      await store.releaseLease(name, this.token);
    } catch (error) {
      log.warn("lease.release-failed", { lease: name, message: messageOf(error) });
    }
  }

  /** Ends it as lost, for whoever learns that from a refused write. */
  lose(why: string): void {
    if (this.#over) return;
    this.#end();
    const { name } = this.#options;
    const detail = { lease: name, token: this.token };
    this.#lost.abort(new TransportError("lease.lost", `lease ${name} is lost: ${why}`, { detail }));
  }

  #end(): void {
    this.#over = true;
    this.#renewal?.cancel();
    this.#expiry?.cancel();
  }

  #watchExpiry(): void {
    const { clock } = this.#options;
    this.#expiry?.cancel();
    const delayMs = Math.max(0, this.#expiresAtMs - clock.monotonicMs());
    this.#expiry = clock.after(delayMs, () => this.lose("it was not renewed in time"), {
      background: true,
    });
  }

  #renewLater(delayMs: number): void {
    const { clock } = this.#options;
    this.#renewal = clock.after(delayMs, () => void this.#renew(), { background: true });
  }

  async #renew(): Promise<void> {
    const { store, name, ttlMs, clock, log } = this.#options;
    const expiresAtMs = clock.monotonicMs() + ttlMs;
    let pauseMs = ttlMs / RENEWALS_PER_TTL;
    try {
      const kept = await store.renewLease(name, this.token, ttlMs);
      if (this.#over) return;
      if (!kept) {
        this.lose("the store gave it to another");
        return;
      }
      this.#expiresAtMs = expiresAtMs;
      this.#watchExpiry();
    } catch (error) {
      log.warn("lease.renewal-failed", { lease: name, message: messageOf(error) });
      pauseMs = ttlMs / (RENEWALS_PER_TTL * 4);
    }
    if (!this.#over) this.#renewLater(pauseMs);
  }
}
