/**
 * One direction of a connection: what goes in comes out in order, late, or not at all.
 *
 * As TCP does it: nothing is reordered or doubled inside a connection. Doubles
 * and disorder come from what people do about lost connections, and so they do here.
 * @module
 */
import type { Random } from "../../core/index.ts";
import type { Timeline } from "./timeline.ts";

/** What a piece of network is like; changes while connections stand. */
export interface NetworkState {
  /** Least delay, and what chance may add to it, milliseconds. */
  delayMs: number;
  jitterMs: number;
  /** Nothing passes: packets wait where they are, as in a partition. */
  cut: boolean;
}

export class Pipe {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #network: NetworkState;
  #lastMs = 0;
  #closed = false;
  #held: (() => void)[] = [];

  constructor(timeline: Timeline, random: Random, network: NetworkState) {
    this.#timeline = timeline;
    this.#random = random;
    this.#network = network;
  }

  /** Sent and not yet arrived because the network is cut. */
  get heldCount(): number {
    return this.#held.length;
  }

  /** `deliver` is called when it has arrived. */
  send(deliver: () => void): void {
    if (this.#closed) return;
    const { delayMs, jitterMs } = this.#network;
    const { nowMs } = this.#timeline;
    // Never before what was sent before it.
    this.#lastMs = Math.max(this.#lastMs, nowMs + delayMs + this.#random.next() * jitterMs);
    this.#timeline.after(this.#lastMs - nowMs, () => this.#arrive(deliver));
  }

  /** The partition is over: what waited arrives. */
  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const deliver of held) this.send(deliver);
  }

  /** What is under way is lost, and nothing more passes. */
  close(): void {
    this.#closed = true;
    this.#held = [];
  }

  #arrive(deliver: () => void): void {
    if (this.#closed) return;
    if (this.#network.cut || this.#held.length > 0) this.#held.push(deliver);
    else deliver();
  }
}
