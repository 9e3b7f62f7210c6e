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
import type { Position, Problem, Zstd } from "../src/wire/index.ts";
import type { Held } from "./session-held.ts";
import type { Preview } from "./session-inbox.ts";
import type { LogRecord } from "./session-log.ts";
import type { HeldModel } from "./session-models.ts";
import type { SentItem } from "./session-state.ts";
import type { StoredModel } from "./storage.ts";

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

/**
 * `ack`: the oldest frame in flight has waited too long. `pull`: ask for the newest release.
 * `rest`: the data cap lets new deltas go again.
 */
export type SessionTimer = "ack" | "pull" | "rest";

export type SessionEvent =
  | { readonly kind: "connecting" }
  /** Connected and subscribed to down and err. */
  | { readonly kind: "online" }
  | { readonly kind: "offline" }
  | { readonly kind: "stop" }
  /**
   * A put record is durable. With `more`, others of the same append follow at once: the log holds
   * them before anything that is decided now, so nothing is decided before the last.
   */
  | {
      readonly kind: "stored";
      readonly record: Extract<LogRecord, { kind: "put" }>;
      readonly more?: boolean;
    }
  /** PUBACK of the delta at `position`. */
  | { readonly kind: "acked"; readonly position: Position }
  | { readonly kind: "down"; readonly bytes: Uint8Array }
  | { readonly kind: "err"; readonly bytes: Uint8Array }
  /** A codec model came, verified and decoded. */
  | { readonly kind: "model"; readonly held: HeldModel }
  /** What came on a codec topic is no model. */
  | { readonly kind: "model-broken"; readonly error: OmegaError; readonly bytes: number }
  | { readonly kind: "timer"; readonly timer: SessionTimer }
  /** The log could not be written; these positions were not published. */
  | { readonly kind: "unstored"; readonly unpublished: readonly Position[] }
  /** The log holds the whole state again. */
  | { readonly kind: "stored-again" };

export type Notice =
  | {
      readonly kind: "release";
      readonly held: Held;
      readonly previous: number;
      /** Of all frames it came in, and of the last one. */
      readonly bytes: number;
      readonly frameBytes: number;
      readonly rawBytes: number;
    }
  /** A part of a release came, and more are to come. */
  | { readonly kind: "preview"; readonly preview: Preview; readonly frameBytes: number }
  | {
      readonly kind: "sent";
      readonly position: Position;
      readonly bytes: number;
      readonly rawBytes: number;
      readonly nmse: number;
      /** What the quality ladder allowed it. */
      readonly budgetBytes: number;
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
  /** Ask for this codec model; a `model` event follows, or nothing does. */
  | { readonly kind: "fetch-model"; readonly version: number }
  /** Keep exactly these codec models across restarts; losing them costs asking again. */
  | { readonly kind: "keep-models"; readonly models: readonly StoredModel[] }
  | { readonly kind: "notify"; readonly notice: Notice };

/** 0 is int8, which everyone speaks; 1 the transform codec. */
export type CodecChoice = 0 | 1;
/**
 * What the error of a vector said with codec 1 is like: `tracking`, as small as the bytes allow;
 * `unbiased`, larger, but with a mean of zero over many devices.
 */
export type CodecMode = "tracking" | "unbiased";

export interface SessionOptions {
  /** Frames stay within this many bytes (P7), and within less on a bad link. */
  readonly budgetBytes: number;
  /** Bytes up and down in 24 hours after which new deltas wait; null is no cap. */
  readonly dailyBytesMax: number | null;
  readonly outboxBytesMax: number;
  /** How long the oldest frame in flight may wait for its PUBACK. */
  readonly ackTimeoutMs: number;
  /** How long to wait for the retained down frame before pulling. */
  readonly downWaitMs: number;
  readonly pullBackoff: BackoffPolicy;
  /** What deltas are coded with, and what releases this device reads. */
  readonly codec: CodecChoice;
  readonly mode: CodecMode;
  readonly zstd: Zstd;
  readonly random: Random;
}

/** Counters since this process started. */
export interface SessionStats {
  /** Frames sent for the first time, their bytes, and the float32 bytes of their embeddings. */
  sent: number;
  sentBytes: number;
  sentRawBytes: number;
  /** The distortion they paid, Σ‖error‖² / Σ‖embedding‖², a mean over the embeddings sent. */
  sentNmse: number;
  /** What the quality ladder allows the next frame. */
  budgetBytes: number;
  resends: number;
  acked: number;
  refused: number;
  /** Changes lost because the outbox was full or no frame could carry them. */
  dropped: number;
  /** Changes given up after repeated refusals. */
  abandoned: number;
  coalesced: number;
  pulls: number;
  /** Releases applied, the bytes of all their frames and the float32 bytes of their patterns. */
  releases: number;
  receivedBytes: number;
  receivedRawBytes: number;
  /** Codec models taken, and their bytes. */
  models: number;
  modelBytes: number;
  /** Down or err frames, or models, that could not be read. */
  corrupted: number;
  /** Releases older than the one held. */
  outdated: number;
  epochs: number;
}

export function zeroStats(budgetBytes = 0): SessionStats {
  return {
    sent: 0,
    sentBytes: 0,
    sentRawBytes: 0,
    sentNmse: 0,
    budgetBytes,
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
    models: 0,
    modelBytes: 0,
    corrupted: 0,
    outdated: 0,
    epochs: 0,
  };
}
