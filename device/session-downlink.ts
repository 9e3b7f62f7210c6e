/**
 * The way down: releases, watermarks, codec models, and asking again.
 *
 * Every down frame carries (epoch, seq) up to which the server has consumed
 * this device's deltas. It confirms registers (P6), and it tells an
 * incarnation without memory which epochs are taken.
 *
 * A release may need a codec model that is not held. Then it is asked for, and
 * when it has come the release is pulled again, which is simpler than keeping
 * its parts. A model that does not come, or comes broken, is asked for a few
 * times; after that this connection speaks minor 0, for which every release has
 * a rendition without models.
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
import type { Held } from "./session-held.ts";
import type { Preview } from "./session-inbox.ts";
import type { HeldModel } from "./session-models.ts";
import type { Uplink } from "./session-uplink.ts";

/**
 * New epochs leave a random gap: a wiped device whose old deltas still wait in
 * a queue must not reuse an epoch that those deltas will claim later.
 */
const EPOCH_GAP_MAX = 2 ** 24;
/** Pulls without any answer before an endpoint counts as unable to serve a device without memory. */
const UNANSWERED_PULLS_MAX = 3;
/** Times a codec model is asked for on one connection. */
const MODEL_ASKS_MAX = 3;

/** A codec model that a release needs and this device does not hold. */
interface Missing {
  readonly version: number;
  asks: number;
  /** Asked for, and neither come nor waited for in vain. */
  asking: boolean;
}

export class Downlink {
  readonly #context: SessionContext;
  readonly #uplink: Uplink;
  /** The base to pull with, or null when nothing is missing. */
  #wanted: number | null = null;
  #attempts = 0;
  #pullTimer = false;
  #missing: Missing | null = null;
  /** What this connection may be sent: see the head of the file. */
  #minor: number;
  /** Bytes of the parts that came of the release under way. */
  #partBytes = 0;

  constructor(context: SessionContext, uplink: Uplink) {
    this.#context = context;
    this.#uplink = uplink;
    this.#minor = context.options.codec;
  }

  /** What to say before subscribing: what this device holds and reads. Null when it is nothing new. */
  greeting(): Uint8Array | null {
    const { options, base } = this.#context;
    return options.codec === 0 ? null : encodePull(base, { minor: options.codec });
  }

  /** Subscribed: the retained frame should come by itself; pull if it does not. */
  online(): void {
    this.#attempts = 0;
    this.#missing = null;
    this.#minor = this.#context.options.codec;
    this.#wanted = this.#context.base;
    this.#arm(this.#context.options.downWaitMs);
  }

  offline(): void {
    this.#disarm();
    this.#wanted = null;
    this.#missing = null;
  }

  receive(bytes: Uint8Array): void {
    const context = this.#context;
    context.spend(bytes.byteLength);
    const previous = context.base;
    const read = context.inbox.read(bytes, context.state.floor);
    if (read.kind === "broken") {
      this.#broken(read.error);
      return;
    }
    this.#watermark(read.applied);
    switch (read.kind) {
      case "release":
        this.#taken(read.held, previous, bytes.byteLength);
        this.#caughtUp();
        break;
      case "preview":
        this.#previewed(read.preview, bytes.byteLength);
        break;
      case "older":
        this.#outdated(read.version);
        this.#caughtUp();
        break;
      case "same":
        this.#caughtUp();
        break;
      case "again":
        break;
      case "base":
        // The parts behind one that needs a missing model build on nothing either.
        if (this.#missing === null) this.#mismatch(read.base);
        break;
      case "model":
        this.#need(read.version);
        break;
    }
    this.#uplink.pump();
  }

  #taken(held: Held, previous: number, frameBytes: number): void {
    const context = this.#context;
    const { release } = held;
    context.commit({ kind: "floor", version: release.version }, false);
    const bytes = this.#partBytes + frameBytes;
    this.#partBytes = 0;
    const rawBytes = release.patterns.length * release.dim * 4;
    context.stats.releases += 1;
    context.stats.receivedBytes += frameBytes;
    context.stats.receivedRawBytes += rawBytes;
    context.push({ kind: "cache", held });
    // The empty release before the first says only that there is none yet.
    if (release.version > previous) {
      context.notify({ kind: "release", held, previous, bytes, frameBytes, rawBytes });
    }
  }

  /** More parts are to come; when one does not, it is pulled again from the start. */
  #previewed(preview: Preview, frameBytes: number): void {
    const context = this.#context;
    this.#partBytes = (preview.part === 1 ? 0 : this.#partBytes) + frameBytes;
    context.stats.receivedBytes += frameBytes;
    if (preview.release.version > context.base) {
      context.notify({ kind: "preview", preview, frameBytes });
    }
    context.enter("catching-up");
    this.#missing = null;
    this.#wanted = context.base;
    const { downWaitMs, pullBackoff, random } = context.options;
    this.#arm(downWaitMs + backoffDelayMs(pullBackoff, this.#attempts, random));
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

  /** It builds on something else than what is held: say what is held, at once but not in a loop. */
  #mismatch(base: number): void {
    const waiting = this.#attempts > 0 && this.#wanted === base && this.#pullTimer;
    this.#context.enter("catching-up");
    this.#wanted = base;
    if (!waiting) this.pull();
  }

  /** Asks for a codec model, or gives it up for this connection. */
  #need(version: number): void {
    const { options, base } = this.#context;
    this.#context.enter("catching-up");
    this.#wanted = base;
    const missing =
      this.#missing?.version === version ? this.#missing : { version, asks: 0, asking: false };
    this.#missing = missing;
    if (missing.asking) return;
    if (missing.asks >= MODEL_ASKS_MAX) {
      this.#speakMinor0(version);
      return;
    }
    missing.asks += 1;
    missing.asking = true;
    this.#context.push({ kind: "fetch-model", version });
    const { downWaitMs, pullBackoff, random } = options;
    this.#arm(downWaitMs + backoffDelayMs(pullBackoff, missing.asks, random));
  }

  #speakMinor0(version: number): void {
    const context = this.#context;
    const message = `codec model ${version} did not come after ${MODEL_ASKS_MAX} requests: releases without models are asked for`;
    context.notify({ kind: "error", error: new TimeoutError("model.missing", message) });
    this.#missing = null;
    this.#minor = 0;
    this.#wanted = context.inbox.held?.rendition === 0 ? context.base : 0;
    this.pull();
  }

  /** A codec model came, whole and well. */
  modelCame(held: HeldModel): void {
    const context = this.#context;
    const { version, dim } = held.model;
    context.spend(held.frame.byteLength);
    if (this.#missing?.version !== version) return;
    if (!context.models.fits(held.model)) {
      const message = `model ${version} has dimension ${dim}, not ${context.state.dim}`;
      this.modelBroken(new ProtocolError("model.dim", message), 0);
      return;
    }
    const current = context.inbox.held;
    context.models.add(held, current?.rendition === 1 ? current.release.space : 0);
    context.stats.models += 1;
    context.stats.modelBytes += held.frame.byteLength;
    context.push({ kind: "keep-models", models: context.models.stored() });
    this.#uplink.modelCame();
    this.#missing = null;
    this.#minor = context.options.codec;
    this.#attempts = 0;
    this.#wanted = context.base;
    this.pull();
  }

  modelBroken(error: OmegaError, bytes: number): void {
    const context = this.#context;
    context.spend(bytes);
    context.stats.corrupted += 1;
    context.notify({ kind: "error", error });
    if (this.#missing === null) return;
    this.#missing.asking = false;
    const { pullBackoff, random } = context.options;
    this.#arm(backoffDelayMs(pullBackoff, this.#missing.asks, random));
  }

  #caughtUp(): void {
    this.#wanted = null;
    this.#attempts = 0;
    this.#missing = null;
    this.#disarm();
    this.#context.enter("live");
  }

  /** Asks for the newest release, and again later unless an answer comes first. */
  pull(): void {
    const context = this.#context;
    this.#pullTimer = false;
    if (this.#missing !== null) this.#missing.asking = false;
    if (!context.online || this.#wanted === null) return;
    if (context.state.epoch === 0 && this.#attempts >= UNANSWERED_PULLS_MAX) {
      const message = `no down frame after ${this.#attempts} pulls, so no epoch can be chosen`;
      context.push({ kind: "disconnect", error: new TimeoutError("down.silent", message) });
      return;
    }
    const { downWaitMs, pullBackoff, random } = context.options;
    const payload = encodePull(this.#wanted, { minor: this.#minor });
    context.stats.pulls += 1;
    context.spend(payload.byteLength);
    context.push({ kind: "publish", payload, position: null });
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
