/**
 * A token bucket for each of many names, in bounded memory: the name that was
 * heard of longest ago is forgotten first, and would find a full bucket again.
 * Pure: no Node built-ins.
 * @module
 */
import type { Clock } from "../src/core/index.ts";
import { TokenBucket, type TokenBucketLimit } from "./limits.ts";

/** About 200 bytes each. */
const NAMES_MAX = 50_000;

export class Buckets {
  readonly #limit: TokenBucketLimit;
  readonly #clock: Clock;
  readonly #namesMax: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limit: TokenBucketLimit, clock: Clock, namesMax = NAMES_MAX) {
    this.#limit = limit;
    this.#clock = clock;
    this.#namesMax = namesMax;
  }

  /** Takes one token of `name`; false, and takes none, when its bucket is empty. */
  take(name: string): boolean {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.#limit, this.#clock);
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= this.#namesMax) break;
      this.#buckets.delete(oldest);
    }
    return bucket.take();
  }

  /** Whether a token of `name` could be taken now; nothing is remembered of the question. */
  has(name: string): boolean {
    const bucket = this.#buckets.get(name);
    return bucket === undefined || bucket.available() >= 1;
  }
}
