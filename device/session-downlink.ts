/**
 * The way down: releases, watermarks, and asking again.
 *
 * Every down frame carries (epoch, seq) up to which the server has consumed
 * this device's deltas. It confirms registers (P6), and it tells an
 * incarnation without memory which epochs are taken.
 * @module
 */
import {
  backoffDelayMs,
  integerBelow,
  type OmegaError,
  ProtocolError,
  TimeoutError,
} from "../src/core/index.ts";
import { COUNTER_MAX, encodePull, type Position } from "../src/wire/index.ts";
import type { SessionContext } from "./session-context.ts";
import { type Held, readDown } from "./session-inbox.ts";
import type { Uplink } from "./session-uplink.ts";

/**
 * New epochs leave a random gap: a wiped device whose old deltas still wait in
 * a queue must not reuse an epoch that those deltas will claim later.
 */
const EPOCH_GAP_MAX = 2 ** 24;
/** Pulls without any answer before an endpoint counts as unable to serve a device without memory. */
const UNANSWERED_PULLS_MAX = 3;

export class Downlink {
  readonly #context: SessionContext;
  readonly #uplink: Uplink;
  /** The base to pull with, or null when nothing is missing. */
  #wanted: number | null = null;
  #attempts = 0;
  #pullTimer = false;

  constructor(context: SessionContext, uplink: Uplink) {
    this.#context = context;
    this.#uplink = uplink;
  }

  /** Subscribed: the retained frame should come by itself; pull if it does not. */
  online(): void {
    this.#attempts = 0;
    this.#wanted = this.#context.base;
    this.#arm(this.#context.options.downWaitMs);
  }

  offline(): void {
    this.#disarm();
    this.#wanted = null;
  }

  receive(bytes: Uint8Array): void {
    const context = this.#context;
    const read = readDown(bytes, context.held, context.state.floor, context.options.zstd);
    if (read.kind === "broken") {
      this.#broken(read.error);
      return;
    }
    this.#watermark(read.applied);
    switch (read.kind) {
      case "release":
        this.#take(read.held, bytes.byteLength);
        this.#caughtUp();
        break;
      case "older":
        this.#outdated(read.version);
        this.#caughtUp();
        break;
      case "same":
        this.#caughtUp();
        break;
      case "base":
        this.#mismatch();
        break;
    }
    this.#uplink.pump();
  }

  #take(held: Held, bytes: number): void {
    const context = this.#context;
    const { release } = held;
    const previous = context.base;
    context.held = held;
    context.commit({ kind: "floor", version: release.version }, false);
    const rawBytes = release.patterns.length * release.dim * 4;
    context.stats.releases += 1;
    context.stats.receivedBytes += bytes;
    context.stats.receivedRawBytes += rawBytes;
    context.push({ kind: "cache", held });
    // The empty release before the first says only that there is none yet.
    if (release.version > previous) {
      context.notify({ kind: "release", release, previous, bytes, rawBytes });
    }
  }

  #outdated(version: number): void {
    const context = this.#context;
    context.stats.outdated += 1;
    const newest = Math.max(context.base, context.state.floor);
    const error = new ProtocolError(
      "release.older",
      `release ${version} is older than ${newest}, which this device has had: ignored`,
      { detail: { version, newest } },
    );
    context.notify({ kind: "error", error });
  }

  #broken(error: OmegaError): void {
    const context = this.#context;
    context.stats.corrupted += 1;
    context.notify({ kind: "error", error });
    context.enter("catching-up");
    this.#wanted = 0;
    this.#arm(backoffDelayMs(context.options.pullBackoff, this.#attempts, context.options.random));
  }

  /** A difference to something else than what is held: say what is held, at once but not in a loop. */
  #mismatch(): void {
    const waiting = this.#attempts > 0 && this.#wanted === this.#context.base && this.#pullTimer;
    this.#context.enter("catching-up");
    this.#wanted = this.#context.base;
    if (!waiting) this.pull();
  }

  #caughtUp(): void {
    this.#wanted = null;
    this.#attempts = 0;
    this.#disarm();
    this.#context.enter("live");
  }

  /** Asks for the newest release, and again later unless an answer comes first. */
  pull(): void {
    const context = this.#context;
    this.#pullTimer = false;
    if (!context.online || this.#wanted === null) return;
    if (context.state.epoch === 0 && this.#attempts >= UNANSWERED_PULLS_MAX) {
      const message = `no down frame after ${this.#attempts} pulls, so no epoch can be chosen`;
      context.push({ kind: "disconnect", error: new TimeoutError("down.silent", message) });
      return;
    }
    const { downWaitMs, pullBackoff, random } = context.options;
    context.stats.pulls += 1;
    context.push({ kind: "publish", payload: encodePull(this.#wanted), position: null });
    this.#arm(downWaitMs + backoffDelayMs(pullBackoff, this.#attempts, random));
    this.#attempts += 1;
  }

  #watermark(applied: Position | null): void {
    const { state } = this.#context;
    const { epoch } = state;
    // Another incarnation wrote as this device, or a clone continued this one's epoch.
    const foreign =
      applied !== null &&
      (applied.epoch > epoch || (applied.epoch === epoch && applied.seq >= state.nextSeq));
    if (epoch === 0 || foreign) {
      this.#beginEpoch(applied?.epoch ?? 0, foreign && epoch !== 0);
      return;
    }
    if (applied === null || applied.epoch < epoch || applied.seq <= state.appliedSeq) return;
    // Not durable at once: without it a restarted device says more than it must, nothing wrong.
    this.#uplink.settle(this.#context.commit({ kind: "applied", position: applied }, false));
  }

  #beginEpoch(taken: number, foreign: boolean): void {
    const context = this.#context;
    const { state, options } = context;
    if (foreign) {
      const error = new ProtocolError(
        "epoch.foreign",
        `the server has heard epoch ${taken} of this device, which is at ${state.epoch}: starting a new one`,
        { detail: { taken, epoch: state.epoch } },
      );
      context.notify({ kind: "error", error });
    }
    const gap = 1 + integerBelow(options.random, EPOCH_GAP_MAX + 1);
    const epoch = Math.min(COUNTER_MAX, taken + gap);
    context.stats.epochs += 1;
    const keepFrames = !foreign;
    context.commit({ kind: "epoch", epoch, keepFrames }, true);
    if (!keepFrames) this.#uplink.forget();
  }

  #arm(delayMs: number): void {
    this.#disarm();
    this.#pullTimer = true;
    this.#context.push({ kind: "timer", timer: "pull", delayMs });
  }

  #disarm(): void {
    if (this.#pullTimer) this.#context.push({ kind: "cancel", timer: "pull" });
    this.#pullTimer = false;
  }
}
