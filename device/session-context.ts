/**
 * What both directions of a session share: the state, what is held, what the
 * link is like, the effects being gathered for the current event, and the one
 * way to change the state.
 * @module
 */
import { afterBytes, budgetOf, type LinkQuality, unknownQuality } from "./quality.ts";
import { apply, type Change } from "./session-apply.ts";
import {
  type Effect,
  type Notice,
  type Phase,
  type SessionOptions,
  type SessionStats,
  zeroStats,
} from "./session-events.ts";
import type { Held } from "./session-held.ts";
import { Inbox } from "./session-inbox.ts";
import type { LogRecord } from "./session-log.ts";
import type { HeldModels } from "./session-models.ts";
import type { OutboxState } from "./session-state.ts";

export class SessionContext {
  readonly options: SessionOptions;
  readonly state: OutboxState;
  readonly models: HeldModels;
  readonly inbox: Inbox;
  readonly stats: SessionStats;
  phase: Phase = "offline";
  /** The log holds everything that the state says. */
  stored = true;
  nowMs = 0;
  #quality: LinkQuality | null = null;
  #effects: Effect[] = [];

  constructor(options: SessionOptions, state: OutboxState, held: Held | null, models: HeldModels) {
    this.options = options;
    this.state = state;
    this.models = models;
    this.inbox = new Inbox(held, models, options.zstd);
    this.stats = zeroStats(options.budgetBytes);
  }

  get online(): boolean {
    return this.phase === "catching-up" || this.phase === "live";
  }

  /** The release version held, 0 for none: what deltas and pulls name as their base. */
  get base(): number {
    return this.inbox.version;
  }

  get quality(): LinkQuality {
    // The first event brings the clock that its day is measured by.
    this.#quality ??= unknownQuality(this.nowMs);
    return this.#quality;
  }

  set quality(quality: LinkQuality) {
    this.#quality = quality;
    this.stats.budgetBytes = budgetOf(quality, this.options, this.nowMs);
  }

  /** `bytes` go over the link, either way; the data cap counts them. */
  spend(bytes: number): void {
    this.quality = afterBytes(this.quality, bytes, this.nowMs);
  }

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  notify(notice: Notice): void {
    this.push({ kind: "notify", notice });
  }

  /** Applies a record and has it logged. `durable` when a later publish relies on it. */
  commit(record: LogRecord, durable: boolean): Change {
    const change = apply(this.state, record);
    this.push({ kind: "append", record, durable });
    return change;
  }

  enter(phase: Phase): void {
    if (this.phase === phase || this.phase === "stopped") return;
    const previous = this.phase;
    this.phase = phase;
    this.notify({ kind: "phase", phase, previous });
  }

  take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
