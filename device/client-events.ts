/**
 * What a sync client tells its application.
 * @module
 */
import type { OmegaError } from "../src/core/index.ts";
import type { Position, Problem, Trend } from "../src/wire/index.ts";
import type { GlobalPattern } from "./patterns.ts";
import type { Phase, SessionStats } from "./session-events.ts";

export interface SyncResult {
  readonly acked: true;
  /** The frames that carried the delta. */
  readonly positions: readonly Position[];
}

export interface SyncClientEvents {
  /** A newer release was applied; `rawBytes` is what its patterns take as float32. */
  release: {
    readonly version: number;
    readonly previous: number;
    /** Of all frames it came in. */
    readonly bytes: number;
    /** Of the last of them; each one before it was a `preview`. */
    readonly frameBytes: number;
    readonly rawBytes: number;
  };
  /**
   * A part of a newer release came and more are to come: everything as well as it is known so far.
   * It is not verified yet; `client.patterns` stays what it was until the `release`.
   */
  preview: {
    readonly version: number;
    readonly part: number;
    readonly parts: number;
    readonly frameBytes: number;
    readonly patterns: ReadonlyMap<string, GlobalPattern>;
    readonly trends: readonly Trend[];
  };
  /** The gateway has a frame for good; `ms` since its first publish, null when an earlier process sent it. */
  acked: { readonly position: Position; readonly bytes: number; readonly ms: number | null };
  /** A frame was sent for the first time; `nmse` is the distortion paid for its size (P7). */
  sent: {
    readonly position: Position;
    readonly bytes: number;
    readonly rawBytes: number;
    readonly nmse: number;
    /** What the link's quality allowed it. */
    readonly budgetBytes: number;
  };
  /** The server did not apply a frame. Its patterns are said again, a bounded number of times. */
  refused: Problem;
  /** Changes were given up: the outbox was full, or they were refused for good. */
  dropped: { readonly ids: readonly string[]; readonly error: OmegaError };
  phase: { readonly phase: Phase; readonly previous: Phase };
  /** Something went wrong that the client deals with by itself; for logs. */
  error: OmegaError;
}

export interface SyncClientStats extends Readonly<SessionStats> {
  readonly reconnects: number;
  readonly outboxBytes: number;
}
