/**
 * How fast one device may publish (THREATS 16).
 *
 * A device that is faster is not cut off and loses nothing: its socket is not
 * read for a moment, so TCP slows it down, and nobody else is touched. What was
 * read already is taken on credit, at most two turns of packets, so the rest is
 * short enough for keepalives. The acknowledgement window rests the same socket
 * for its own reasons; it is read when neither has one.
 * @module
 */
import type { Clock, Timer } from "../src/core/index.ts";
import { TokenBucket, type TokenBucketLimit } from "./limits.ts";

/** What is held back: the guard of a connection. */
interface Reader {
  pause(): void;
  resume(): void;
}

export interface PaceOptions {
  /** `null`: as fast as it likes. */
  readonly limit: TokenBucketLimit | null;
  readonly clock: Clock;
  readonly reader: Reader;
  /** The device was faster than it may be, and rests. */
  readonly onRest: () => void;
}

export class Pace {
  readonly #options: PaceOptions;
  readonly #bucket: TokenBucket | null;
  #rest: Timer | null = null;
  #windowFull = false;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#bucket = options.limit === null ? null : new TokenBucket(options.limit, options.clock);
  }

  /** The acknowledgement window is full … */
  pause(): void {
    this.#windowFull = true;
    this.#options.reader.pause();
  }

  /** … and is no longer. */
  resume(): void {
    this.#windowFull = false;
    if (this.#rest === null) this.#options.reader.resume();
  }

  /** A frame was taken. */
  took(): void {
    const waitMs = this.#bucket?.spend() ?? 0;
    if (waitMs === 0 || this.#rest !== null) return;
    this.#options.reader.pause();
    this.#options.onRest();
    this.#restFor(waitMs);
  }

  /** The connection is gone. Idempotent. */
  close(): void {
    this.#rest?.cancel();
  }

  #restFor(waitMs: number): void {
    this.#rest = this.#options.clock.after(waitMs, () => this.#rested(), { background: true });
  }

  #rested(): void {
    const waitMs = this.#bucket?.waitMs() ?? 0;
    if (waitMs > 0) {
      this.#restFor(waitMs); // More was taken on credit since.
      return;
    }
    this.#rest = null;
    if (!this.#windowFull) this.#options.reader.resume();
  }
}
