/**
 * The session of one device: every decision, no input or output.
 *
 *   event ──handle──▶ effects
 *
 * The sync client feeds it from real sockets, clocks and disks; the fleet
 * simulator from its own. Both run exactly this code.
 * @module
 */
import {
  limits,
  OmegaError,
  SerializationError,
  TransportError,
  unreachable,
} from "../src/core/index.ts";
import { decodeRefusal, type Problem, peekFrame } from "../src/wire/index.ts";
import { apply } from "./session-apply.ts";
import { SessionContext } from "./session-context.ts";
import { Downlink } from "./session-downlink.ts";
import type {
  Effect,
  Phase,
  SessionEvent,
  SessionOptions,
  SessionStats,
} from "./session-events.ts";
import type { Held } from "./session-held.ts";
import { type LogRecord, type PutItem, snapshotRecords } from "./session-log.ts";
import type { HeldModels } from "./session-models.ts";
import {
  type BelievedRegister,
  believedRegisters,
  itemBytes,
  livePatterns,
  type OutboxState,
  pendingItems,
} from "./session-state.ts";
import { Uplink } from "./session-uplink.ts";

export class Session {
  readonly #context: SessionContext;
  readonly #uplink: Uplink;
  readonly #downlink: Downlink;

  /**
   * `state` from `restoreOutbox` or `createOutbox`; `held` the cached release, if any; `models` the
   * cached codec models.
   */
  constructor(options: SessionOptions, state: OutboxState, held: Held | null, models: HeldModels) {
    this.#context = new SessionContext(options, state, held, models);
    this.#uplink = new Uplink(this.#context);
    this.#downlink = new Downlink(this.#context, this.#uplink);
  }

  /** What `event` at `nowMs` (monotonic milliseconds) leads to, in order. */
  handle(event: SessionEvent, nowMs: number): Effect[] {
    const context = this.#context;
    context.nowMs = nowMs;
    if (context.phase !== "stopped") this.#dispatch(event);
    return context.take();
  }

  #dispatch(event: SessionEvent): void {
    const context = this.#context;
    switch (event.kind) {
      case "connecting":
        context.enter("connecting");
        break;
      case "online":
        this.#uplink.online();
        context.enter("catching-up");
        this.#downlink.online();
        this.#uplink.pump();
        break;
      case "offline":
      case "stop":
        if (event.kind === "stop") this.#uplink.reset();
        else this.#uplink.offline();
        this.#downlink.offline();
        context.enter(event.kind === "stop" ? "stopped" : "offline");
        break;
      case "stored":
        this.#uplink.stored(event.record, apply(context.state, event.record), event.more === true);
        break;
      case "acked":
        this.#uplink.acked(event.position);
        break;
      case "down":
        if (context.online) this.#downlink.receive(event.bytes);
        break;
      case "err":
        context.spend(event.bytes.byteLength);
        this.#uplink.refused(this.#problemsIn(event.bytes));
        break;
      case "model":
        if (context.online) this.#downlink.modelCame(event.held);
        break;
      case "model-broken":
        if (context.online) this.#downlink.modelBroken(event.error, event.bytes);
        break;
      case "timer":
        if (event.timer === "ack") this.#uplink.ackTimeout();
        else if (event.timer === "pull") this.#downlink.pull();
        else this.#uplink.rested();
        break;
      case "unstored":
        context.stored = false;
        this.#uplink.unpublished(event.unpublished);
        break;
      case "stored-again":
        context.stored = true;
        this.#uplink.pump();
        break;
      default:
        unreachable(event);
    }
  }

  #problemsIn(bytes: Uint8Array): readonly Problem[] {
    const { options, stats } = this.#context;
    try {
      const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
      return decodeRefusal(frame, options.zstd);
    } catch (error) {
      if (!(error instanceof OmegaError)) throw error;
      stats.corrupted += 1;
      this.#context.notify({ kind: "error", error });
      return [];
    }
  }

  /**
   * The record to store before `items` count as accepted; the state changes
   * only with the `stored` event that follows.
   * Throws `SerializationError("delta.patterns")` past the patterns a device may
   * register, `TransportError("outbox.full")` when the delta alone is larger than the outbox.
   */
  planPut(items: readonly PutItem[]): Extract<LogRecord, { kind: "put" }> {
    const { state, options } = this.#context;
    const bytes = items.reduce((sum, item) => sum + itemBytes(item), 0);
    if (bytes > options.outboxBytesMax) {
      throw new TransportError(
        "outbox.full",
        `a delta of ${bytes} bytes exceeds outboxBytesMax ${options.outboxBytesMax}`,
        { detail: { bytes, outboxBytesMax: options.outboxBytesMax } },
      );
    }
    const added = items.filter(({ id, value }) => value !== null && !this.#stands(id)).length;
    const patterns = added === 0 ? 0 : livePatterns(state) + added;
    if (patterns > limits.DEVICE_PATTERNS_MAX) {
      throw new SerializationError(
        "delta.patterns",
        `a device may register ${limits.DEVICE_PATTERNS_MAX} patterns: this delta makes it ${patterns}; remove some first`,
        { detail: { patterns } },
      );
    }
    return { kind: "put", items };
  }

  #stands(id: string): boolean {
    const { queued, shadows } = this.#context.state;
    const queuedItem = queued.get(id);
    if (queuedItem !== undefined) return queuedItem.value !== null;
    return (shadows.get(id)?.value ?? null) !== null;
  }

  /** What to publish before subscribing, if anything. */
  greeting(): Uint8Array | null {
    return this.#downlink.greeting();
  }

  /** The whole state as a log, for compaction and for repairing a log that failed. */
  snapshot(): LogRecord[] {
    return snapshotRecords(this.#context.state);
  }

  /** P6: what the server surely holds of this device. */
  believedRegisters(): ReadonlyMap<string, BelievedRegister> {
    return believedRegisters(this.#context.state);
  }

  get phase(): Phase {
    return this.#context.phase;
  }

  get stats(): Readonly<SessionStats> {
    return this.#context.stats;
  }

  get held(): Held | null {
    return this.#context.inbox.held;
  }

  /** The number of the newest put; settled items name the put they came with. */
  get generation(): number {
    return this.#context.state.generation;
  }

  get epoch(): number {
    return this.#context.state.epoch;
  }

  /** Changes not yet acknowledged. */
  get pending(): number {
    return pendingItems(this.#context.state);
  }

  get inflight(): number {
    return this.#uplink.inflight;
  }
}
