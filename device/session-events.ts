/**
 * The vocabulary between the session and whoever drives it: events in, effects out.
 *
 * Effects are carried out in order. A `publish` must wait until every earlier
 * `append` is durable (P3: no frame leaves before the outbox has it); if an
 * append fails, the driver drops the rest of the publishes and says so with
 * `unstored`, then rewrites the log from `session.snapshot()` and says `stored-again`.
 * @module
 */
import type { BackoffPolicy, OmegaError, Random } from "../src/core/index.ts";
import type { Codec, Position, Problem, Release, Zstd } from "../src/wire/index.ts";
import type { Held } from "./session-inbox.ts";
import type { LogRecord } from "./session-log.ts";
import type { SentItem } from "./session-state.ts";

/**
 *                    ┌──────── connection lost ────────┐
 *                    ▼                                 │
 *   offline ──▶ connecting ──subscribed──▶ catching-up ──newest release held──▶ live
 *      ▲            │                          ▲                                  │
 *      └── failed ──┘                          └──── broken frame, wrong base ────┘
 *
 *   any ──stop()──▶ stopped
 */
export type Phase = "offline" | "connecting" | "catching-up" | "live" | "stopped";

/** `ack`: the oldest frame in flight has waited too long. `pull`: ask for the newest release. */
export type SessionTimer = "ack" | "pull";

export type SessionEvent =
  | { readonly kind: "connecting" }
  /** Connected and subscribed to down and err. */
  | { readonly kind: "online" }
  | { readonly kind: "offline" }
  | { readonly kind: "stop" }
  /** A put record is durable. */
  | { readonly kind: "stored"; readonly record: Extract<LogRecord, { kind: "put" }> }
  /** PUBACK of the delta at `position`. */
  | { readonly kind: "acked"; readonly position: Position }
  | { readonly kind: "down"; readonly bytes: Uint8Array }
  | { readonly kind: "err"; readonly bytes: Uint8Array }
  | { readonly kind: "timer"; readonly timer: SessionTimer }
  /** The log could not be written; these positions were not published. */
  | { readonly kind: "unstored"; readonly unpublished: readonly Position[] }
  /** The log holds the whole state again. */
  | { readonly kind: "stored-again" };

export type Notice =
  | {
      readonly kind: "release";
      readonly release: Release;
      readonly previous: number;
      readonly bytes: number;
      readonly rawBytes: number;
    }
  | {
      readonly kind: "sent";
      readonly position: Position;
      readonly bytes: number;
      readonly rawBytes: number;
      readonly nmse: number;
    }
  | {
      readonly kind: "acked";
      readonly position: Position;
      readonly bytes: number;
      /** Since the first publish by this process; null when an earlier process sent it. */
      readonly ms: number | null;
      readonly items: readonly SentItem[];
    }
  | { readonly kind: "refused"; readonly problem: Problem }
  /** Changes given up: the outbox was full, or the server refused them for good. */
  | { readonly kind: "lost"; readonly items: readonly SentItem[]; readonly error: OmegaError }
  | { readonly kind: "phase"; readonly phase: Phase; readonly previous: Phase }
  | { readonly kind: "error"; readonly error: OmegaError };

export type Effect =
  | { readonly kind: "append"; readonly record: LogRecord; readonly durable: boolean }
  /** On the up topic, QoS 1. `position` null is a pull. */
  | { readonly kind: "publish"; readonly payload: Uint8Array; readonly position: Position | null }
  | { readonly kind: "timer"; readonly timer: SessionTimer; readonly delayMs: number }
  | { readonly kind: "cancel"; readonly timer: SessionTimer }
  /** Close the connection as failed and let the reconnect policy go on. */
  | { readonly kind: "disconnect"; readonly error: OmegaError }
  /** Keep this release across restarts; losing it costs a snapshot, nothing else. */
  | { readonly kind: "cache"; readonly held: Held }
  | { readonly kind: "notify"; readonly notice: Notice };

export interface SessionOptions {
  /** Frames stay within this many bytes (P7). */
  readonly budgetBytes: number;
  readonly outboxBytesMax: number;
  /** How long the oldest frame in flight may wait for its PUBACK. */
  readonly ackTimeoutMs: number;
  /** How long to wait for the retained down frame before pulling. */
  readonly downWaitMs: number;
  readonly pullBackoff: BackoffPolicy;
  readonly codec: Codec;
  readonly zstd: Zstd;
  readonly random: Random;
}

/** Counters since this process started. */
export interface SessionStats {
  /** Frames sent for the first time, their bytes, and the float32 bytes of their embeddings. */
  sent: number;
  sentBytes: number;
  sentRawBytes: number;
  resends: number;
  acked: number;
  refused: number;
  /** Changes lost because the outbox was full or no frame could carry them. */
  dropped: number;
  /** Changes given up after repeated refusals. */
  abandoned: number;
  coalesced: number;
  pulls: number;
  /** Releases applied, the bytes they took and the float32 bytes of their patterns. */
  releases: number;
  receivedBytes: number;
  receivedRawBytes: number;
  /** Down or err frames that could not be read. */
  corrupted: number;
  /** Releases older than the one held. */
  outdated: number;
  epochs: number;
}

export function zeroStats(): SessionStats {
  return {
    sent: 0,
    sentBytes: 0,
    sentRawBytes: 0,
    resends: 0,
    acked: 0,
    refused: 0,
    dropped: 0,
    abandoned: 0,
    coalesced: 0,
    pulls: 0,
    releases: 0,
    receivedBytes: 0,
    receivedRawBytes: 0,
    corrupted: 0,
    outdated: 0,
    epochs: 0,
  };
}
