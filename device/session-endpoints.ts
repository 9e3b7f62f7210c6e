/**
 * Which endpoint to try next, and when.
 *
 * - The lowest `priority` among the healthy ones; within it the last good one
 *   (sticky), then the one that failed least.
 * - A failure rests the endpoint; every reconnect waits a full-jitter delay
 *   that grows with each round over all endpoints, and is forgotten only after
 *   a connection stayed up for `stableMs`: a gateway that accepts and then
 *   drops everyone must not be hit at full speed.
 * - "Busy" (CONNACK 3) waits longer than a dead socket, refused credentials
 *   (CONNACK 4, 5) longest: nothing heals them quickly.
 * - Connected to a second choice, the device goes back once the better one has
 *   rested (`failBackMs`, jittered).
 * @module
 */
import { type BackoffPolicy, backoffDelayMs, type Random } from "../src/core/index.ts";

export interface Endpoint {
  /** `mqtt:// mqtts:// ws:// wss://` */
  readonly url: string;
  /** Lower is preferred. */
  readonly priority: number;
}

export type FailureKind = "network" | "busy" | "credentials";

export interface EndpointPolicy {
  readonly backoff: BackoffPolicy;
  readonly stableMs: number;
  readonly failBackMs: number;
}

export interface Attempt {
  readonly index: number;
  readonly endpoint: Endpoint;
  readonly delayMs: number;
}

/** Busy servers are left alone as if three more attempts had failed. */
const BUSY_EXTRA_ATTEMPTS = 3;

interface Health {
  failures: number;
  /** Not tried before, monotonic ms, unless all are resting. */
  restUntilMs: number;
}

export class EndpointChooser {
  readonly #endpoints: readonly Endpoint[];
  readonly #policy: EndpointPolicy;
  readonly #random: Random;
  readonly #health: readonly Health[];
  #lastGood: number | null = null;
  /** Failures in a row, over all endpoints, since the last stable connection. */
  #failures = 0;
  #waitMs = 0;

  constructor(endpoints: readonly Endpoint[], policy: EndpointPolicy, random: Random) {
    this.#endpoints = endpoints;
    this.#policy = policy;
    this.#random = random;
    this.#health = endpoints.map(() => ({ failures: 0, restUntilMs: 0 }));
  }

  /** What to try next and how long to wait before, decided at `nowMs`. */
  next(nowMs: number): Attempt {
    const ready = this.#indices().filter(
      (index) => this.#restUntilMs(index) <= nowMs + this.#waitMs,
    );
    const index = this.#best(ready) ?? this.#soonest();
    const endpoint = this.#endpoints[index];
    if (endpoint === undefined) throw new Error("assertion failed: there is at least one endpoint");
    const delayMs = Math.max(this.#waitMs, this.#restUntilMs(index) - nowMs, 0);
    return { index, endpoint, delayMs };
  }

  /** The connection attempt, or the connection, failed at `nowMs`. */
  failed(index: number, kind: FailureKind, nowMs: number): void {
    const health = this.#health[index];
    if (health === undefined) return;
    health.failures += 1;
    this.#failures += 1;
    const { backoff } = this.#policy;
    const round = Math.floor((this.#failures - 1) / this.#endpoints.length);
    this.#waitMs = backoffDelayMs(backoff, round, this.#random);
    health.restUntilMs = nowMs + this.#restMs(kind, health.failures - 1);
  }

  /** How long an endpoint is left alone after failing in a way, with `before` failures before. */
  #restMs(kind: FailureKind, before: number): number {
    switch (kind) {
      case "busy":
        return this.#atLeastHalf(before + BUSY_EXTRA_ATTEMPTS);
      case "credentials":
        return this.#atLeastHalf(Number.POSITIVE_INFINITY);
      case "network": {
        if (this.#endpoints.length === 1) return this.#waitMs;
        // Longer than the wait, so that somebody else is tried next.
        return this.#waitMs + 1 + backoffDelayMs(this.#policy.backoff, before, this.#random);
      }
    }
  }

  /** Connected and subscribed. Not yet a reason to forget failures: see {@link stable}. */
  connected(index: number): void {
    this.#lastGood = index;
  }

  /** The connection has stayed up for `stableMs`. */
  stable(index: number): void {
    this.#failures = 0;
    this.#waitMs = 0;
    const health = this.#health[index];
    if (health !== undefined) health.failures = 0;
  }

  /** How long to stay on `index` before going back to a better endpoint; null when there is none. */
  failBackDelayMs(index: number): number | null {
    const priority = this.#endpoints[index]?.priority ?? 0;
    if (!this.#endpoints.some((endpoint) => endpoint.priority < priority)) return null;
    return Math.floor(this.#policy.failBackMs * (0.5 + this.#random.next()));
  }

  /** Going back: better endpoints are tried at once, whatever they did before. */
  failBack(index: number): void {
    const priority = this.#endpoints[index]?.priority ?? 0;
    this.#waitMs = 0;
    for (const [other, endpoint] of this.#endpoints.entries()) {
      const health = this.#health[other];
      if (health !== undefined && endpoint.priority < priority) health.restUntilMs = 0;
    }
  }

  #indices(): number[] {
    return this.#endpoints.map((_, index) => index);
  }

  #restUntilMs(index: number): number {
    return this.#health[index]?.restUntilMs ?? 0;
  }

  #best(ready: readonly number[]): number | null {
    const rank = (index: number): [number, number, number] => [
      this.#endpoints[index]?.priority ?? 0,
      index === this.#lastGood ? 0 : 1,
      this.#health[index]?.failures ?? 0,
    ];
    const [best] = [...ready].sort((left, right) => compare(rank(left), rank(right)));
    return best ?? null;
  }

  #soonest(): number {
    const [soonest] = this.#indices().sort((left, right) => {
      return this.#restUntilMs(left) - this.#restUntilMs(right);
    });
    return soonest ?? 0;
  }

  /** Uniform in the upper half of the window of `attempt`. */
  #atLeastHalf(attempt: number): number {
    const { delayMsBase, delayMsMax } = this.#policy.backoff;
    const ceilingMs = Math.min(delayMsMax, delayMsBase * 2 ** Math.min(attempt, 30));
    return Math.floor(ceilingMs * (0.5 + this.#random.next() / 2));
  }
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
