/**
 * What both directions of a session share: the state, the effects being
 * gathered for the current event, and the one way to change the state.
 * @module
 */
import { apply, type Change } from "./session-apply.ts";
import {
  type Effect,
  type Notice,
  type Phase,
  type SessionOptions,
  type SessionStats,
  zeroStats,
} from "./session-events.ts";
import type { Held } from "./session-inbox.ts";
import type { LogRecord } from "./session-log.ts";
import type { OutboxState } from "./session-state.ts";

export class SessionContext {
  readonly options: SessionOptions;
  readonly state: OutboxState;
  readonly stats: SessionStats = zeroStats();
  held: Held | null;
  phase: Phase = "offline";
  /** The log holds everything that the state says. */
  stored = true;
  nowMs = 0;
  #effects: Effect[] = [];

  constructor(options: SessionOptions, state: OutboxState, held: Held | null) {
    this.options = options;
    this.state = state;
    this.held = held;
  }

  get online(): boolean {
    return this.phase === "catching-up" || this.phase === "live";
  }

  /** The release version held, 0 for none: what deltas and pulls name as their base. */
  get base(): number {
    return this.held?.release.version ?? 0;
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
