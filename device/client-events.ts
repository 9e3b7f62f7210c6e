/**
 * What a sync client tells its application.
 * @module
 */
import { type OmegaError, unreachable } from "../src/core/index.ts";
import type { Position, Problem, Trend } from "../src/wire/index.ts";
import type { Emitter } from "./emitter.ts";
import { type GlobalPattern, patterns1Of } from "./patterns.ts";
import type { Notice, Phase, SessionStats } from "./session-events.ts";

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

/** Emits the event that a notice of the session is to the application; errors are the client's own. */
export function tell(
  events: Emitter<SyncClientEvents>,
  notice: Exclude<Notice, { kind: "error" }>,
): void {
  switch (notice.kind) {
    case "release": {
      const { kind: _, held, ...sizes } = notice;
      events.emit("release", { version: held.release.version, ...sizes });
      break;
    }
    case "preview": {
      const { release, model, part, parts } = notice.preview;
      const { version, trends } = release;
      const patterns = patterns1Of(release, model);
      const { frameBytes } = notice;
      events.emit("preview", { version, part, parts, frameBytes, patterns, trends });
      break;
    }
    case "sent": {
      const { kind: _, ...sent } = notice;
      events.emit("sent", sent);
      break;
    }
    case "acked": {
      const { position, bytes, ms } = notice;
      events.emit("acked", { position, bytes, ms });
      break;
    }
    case "lost":
      events.emit("dropped", { ids: notice.items.map(({ id }) => id), error: notice.error });
      break;
    case "refused":
      events.emit("refused", notice.problem);
      break;
    case "phase":
      events.emit("phase", { phase: notice.phase, previous: notice.previous });
      break;
    default:
      unreachable(notice);
  }
}
