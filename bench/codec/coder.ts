/**
 * What the bench asks of a method: put some vectors into one complete frame of the wire, at most so
 * many bytes if it can choose, and say what the other end will hold.
 * @module
 */
import type { TimingLimits } from "./timing.ts";

export const CASES = ["push", "pull", "pull2", "drift"] as const;
/**
 * - `push`: ten patterns from one device, from nothing.
 * - `pull`: a hundred patterns of a release, from nothing.
 * - `pull2`: the same hundred again, coded on top of what the first pull left.
 * - `drift`: ten patterns that moved after some pushes had told the server where they were, coded on
 *   top of what it holds.
 */
export type Case = (typeof CASES)[number];
export type Mode = "tracking" | "unbiased";

/** The complete frame must fit; see issue and PROTOCOL.md. */
export const BUDGET: Readonly<Record<Case, number>> = {
  push: 1024,
  pull: 5120,
  pull2: 5120,
  drift: 1024,
};
export const COUNT: Readonly<Record<Case, number>> = { push: 10, pull: 100, pull2: 100, drift: 10 };

/** What travels with each vector of a push. */
export interface PushItem {
  /** 64 random bits in hex. */
  readonly id: string;
  readonly weight: number;
  readonly success: number;
  readonly samples: number;
  readonly updatedAtS: number;
}

/** What travels with each vector of a pull. */
export interface PullItem {
  readonly id: string;
  readonly weight: number;
  readonly devices: number;
}

export interface Job<C extends Coding = Coding> {
  readonly case: Case;
  /** Rows of `dim`, unit length. */
  readonly vectors: Float32Array;
  readonly items: readonly PushItem[] | readonly PullItem[];
  readonly budget: number;
  readonly sender: string;
  /** What the receiver already holds of these patterns: for `pull2` and `drift`. */
  readonly on: C | null;
}

export interface Coding {
  /** Of the complete frame: prefix, header, ids, counts, times, vectors, after zstd. */
  readonly frameBytes: number;
  /** Of the coded vectors alone: what the rate–distortion limit is taken at. */
  readonly codedBytes: number;
  /** What the receiver holds afterwards, in the pattern domain. */
  readonly decoded: Float32Array;
}

export interface Costs {
  /** Encoding them ÷ what zstd level 19 takes on their vectors as float32. */
  readonly encodeVsZstd19: number;
  /** The aggregator's decode-and-add of them ÷ that of int8 + CBOR + zstd. */
  readonly decodeVsInt8: number;
}

/** So many vectors of this dimension have no coding in so few bytes. */
export class DoesNotFit extends Error {}

/** What `act` gives; null when it met {@link DoesNotFit}, which is no result and no reason to give up. */
export function fitting<Result>(act: () => Result): Result | null {
  try {
    return act();
  } catch (error) {
    if (error instanceof DoesNotFit) return null;
    throw error;
  }
}

export interface Coder<C extends Coding = Coding> {
  readonly method: string;
  /** Trellis states; null for a method without a trellis. */
  readonly states: number | null;
  readonly mode: Mode;
  /** Whether two senders of one vector make different errors, so that their mean improves. */
  readonly seeded: boolean;
  readonly covers: (name: Case) => boolean;
  encode(job: Job<C>): C;
  /** The receiver's work on the frame: from bytes to vectors. */
  decode(job: Job<C>, coding: C): void;
  /** What pushes cost beside what they replace. */
  costs?(jobs: readonly Job<C>[], limits: TimingLimits): Costs;
}

/** Whether a case is a release on its way down. */
export function isPull(name: Case): boolean {
  return name === "pull" || name === "pull2";
}
