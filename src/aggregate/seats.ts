/**
 * Seats: how an aggregator learns how many others there are, with nothing but leases.
 *
 * Each running aggregator sits on one of the leases `aggregator-seat-0…`. To
 * count, it knocks on every other seat: one that it could take is empty, and it
 * leaves it at once. The count may be off for a moment (two who knock at the
 * same time see one another; a dead one keeps its seat until it expires), so
 * nobody gives a shard up on a single count.
 * @module
 */
import { HeldLease, type LeaseOptions } from "./lease.ts";

/** How long a knock may hold a seat if the one who knocks dies over it. */
const KNOCK_MS = 1_000;

export class Seats {
  readonly #options: Omit<LeaseOptions, "name">;
  readonly #count: number;
  #own: { readonly seat: number; readonly lease: HeldLease } | null = null;

  /** `count`: seats there are; more aggregators than that are not told apart. */
  constructor(options: Omit<LeaseOptions, "name">, count: number) {
    this.#options = options;
    this.#count = count;
  }

  /** Takes a seat if we have none, and counts the taken ones, ours included: ≥ 1. */
  async countMembers(): Promise<number> {
    if (this.#own?.lease.held !== true) await this.#sit();
    let members = 1;
    for (let seat = 0; seat < this.#count; seat += 1) {
      if (seat !== this.#own?.seat && (await this.#isTaken(seat))) members += 1;
    }
    return members;
  }

  async leave(): Promise<void> {
    await this.#own?.lease.release();
    this.#own = null;
  }

  async #sit(): Promise<void> {
    this.#own = null;
    for (let seat = 0; seat < this.#count; seat += 1) {
      const lease = await HeldLease.acquire({ ...this.#options, name: seatName(seat) });
      if (lease === null) continue;
      this.#own = { seat, lease };
      return;
    }
  }

  async #isTaken(seat: number): Promise<boolean> {
    const { store, owner } = this.#options;
    const token = await store.acquireLease(seatName(seat), `${owner}-knock`, KNOCK_MS);
    if (token === null) return true;
    await store.releaseLease(seatName(seat), token);
    return false;
  }
}

function seatName(seat: number): string {
  return `aggregator-seat-${seat}`;
}
