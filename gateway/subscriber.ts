/**
 * One connected device as the downlink sees it: which of its two topics it
 * listens to, what it holds as far as we know, what is in flight, what is owed.
 *
 * Pure: it decides what to send next and is told what happened. Per topic at
 * most one message is in flight, and what is owed is a flag, never a queue, so
 * a device costs the same few hundred bytes however slowly it reads and
 * however many releases pass meanwhile (P8).
 *
 *   idle ──owed or behind──▶ in flight ──PUBACK──▶ idle, held = version
 *                               └─ newer release, SUBSCRIBE or pull: owed, sent after the PUBACK
 *
 * P5: the version sent never falls. P6: a refusal leaves before the watermark
 * that passes it, and the watermark never falls.
 * @module
 */
import { assert, type DeviceKey } from "../src/core/index.ts";
import type { Position, Problem } from "../src/wire/index.ts";
import type { DeviceView } from "./ports.ts";

/** The topics a device may listen to. */
export type Line = "down" | "err";
export type GrantedQos = 0 | 1;
export type Grants = Partial<Record<Line, GrantedQos>>;

/** A QoS 1 message that was sent and not acknowledged when the connection ended. */
interface Unacknowledged {
  readonly messageId: number;
  readonly retain: boolean;
  /** The version the lost frame was computed against; 0 on the err line. */
  readonly base: number;
}
export type Outstanding = Partial<Record<Line, Unacknowledged>>;

/** One message to send now. */
export interface Shipment {
  /** 0 with QoS 0, which has no packet id; its end is when the socket has taken it. */
  readonly messageId: number;
  readonly qos: GrantedQos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly content:
    | { readonly line: "down"; readonly base: number; readonly applied: Position | null }
    | { readonly line: "err"; readonly problems: readonly Problem[] };
}

interface InFlight extends Unacknowledged {
  readonly version: number;
  readonly qos: GrantedQos;
  /** A pull arrived after it was sent: its PUBACK no longer says what the device holds. */
  readonly overtaken: boolean;
}

interface LineState {
  qos: GrantedQos | null;
  /** Something must be sent even when nothing changed: SUBSCRIBE, pull, a restored session. */
  owed: boolean;
  /** [MQTT-3.3.1-8] the next message answers a SUBSCRIBE. */
  retainNext: boolean;
  inFlight: InFlight | null;
  redeliver: Unacknowledged | null;
}

const PACKET_ID_MAX = 65_535;

export class Subscriber {
  readonly key: DeviceKey;
  readonly #lines: Readonly<Record<Line, LineState>> = { down: newLine(), err: newLine() };
  /** The version this device holds as far as this connection has shown; null when it has not. */
  #held: number | null = null;
  #sentVersion = -1;
  #sentApplied: Position | null = null;
  /** The newest view seen: two look-ups may cross, and a lagging replica may answer. */
  #known: DeviceView | null = null;
  /** Names of the problems already sent; never more than one view holds. */
  #told: ReadonlySet<string> = new Set();
  #blocked = false;
  #lastMessageId = 0;

  constructor(key: DeviceKey) {
    this.key = key;
  }

  /** The newest version sent on this connection; -1 for none. */
  get sentVersion(): number {
    return this.#sentVersion;
  }

  listens(line: Line): boolean {
    return this.#lines[line].qos !== null;
  }

  /** SUBSCRIBE: everything the topic retains is owed again [MQTT-3.8.4-3]. */
  subscribed(line: Line, qos: GrantedQos): void {
    const state = this.#lines[line];
    state.qos = qos;
    state.owed = true;
    state.retainNext = true;
    if (line === "err") this.#told = new Set();
  }

  unsubscribed(line: Line): void {
    const state = this.#lines[line];
    state.qos = null;
    state.owed = false;
    state.retainNext = false;
    state.redeliver = null;
  }

  /** [MQTT-4.4.0-1] A clean=0 session is back: unacknowledged messages go again under their packet ids. */
  restored(grants: Grants, outstanding: Outstanding): void {
    for (const line of ["err", "down"] as const) {
      const state = this.#lines[line];
      state.qos ??= grants[line] ?? null;
      if (state.qos === null) continue;
      state.owed = true;
      if (state.inFlight === null) state.redeliver = outstanding[line] ?? null;
      this.#lastMessageId = Math.max(this.#lastMessageId, outstanding[line]?.messageId ?? 0);
    }
  }

  /** The device asks for the newest release and says what it holds (0 for nothing). */
  pulled(base: number): void {
    this.#held = base;
    const { down } = this.#lines;
    if (down.inFlight !== null) down.inFlight = { ...down.inFlight, overtaken: true };
    down.redeliver = null;
    down.owed = down.qos !== null;
  }

  /** A delta named the version its device held when it was made; it may be an old delta, resent. */
  mentioned(base: number): void {
    this.#held ??= base;
  }

  /** PUBACK. True when it freed a line for which something waits. Unknown packet ids are ignored. */
  acknowledged(messageId: number): boolean {
    for (const line of ["down", "err"] as const) {
      const { inFlight } = this.#lines[line];
      if (inFlight?.qos === 1 && inFlight.messageId === messageId) return this.#landed(line);
    }
    return false;
  }

  /** The socket has taken a QoS 0 message: nothing more will be heard of it. */
  flushed(line: Line): boolean {
    return this.#lines[line].inFlight?.qos === 0 && this.#landed(line);
  }

  get inFlight(): boolean {
    return this.#lines.down.inFlight !== null || this.#lines.err.inFlight !== null;
  }

  /** What to send, in this order, given what the server knows and the newest version there is. */
  next(seen: DeviceView, version: number): Shipment[] {
    // P6: watermark and refusals are one commit, so an older view is left out as a whole.
    const view = this.#known !== null && isOlder(seen, this.#known) ? this.#known : seen;
    this.#known = view;
    const shipments: Shipment[] = [];
    const untold = this.listens("err")
      ? view.problems.filter((problem) => !this.#told.has(nameOf(problem)))
      : [];
    if (untold.length > 0) {
      if (this.#lines.err.inFlight !== null) {
        this.#blocked = true; // P6: the watermark waits for the refusal it would pass.
        return [];
      }
      shipments.push(this.#shipErr(untold, view.problems));
    } else {
      const { err } = this.#lines;
      err.owed = false;
      err.retainNext = false;
      err.redeliver = null;
    }
    const down = this.#nextDown(view, version);
    if (down !== null) shipments.push(down);
    return shipments;
  }

  /** What a clean=0 session keeps when this connection ends. */
  outstanding(): Outstanding {
    const kept: Outstanding = {};
    for (const line of ["down", "err"] as const) {
      const { inFlight, redeliver } = this.#lines[line];
      const unacknowledged = inFlight?.qos === 1 ? inFlight : redeliver;
      if (unacknowledged === null) continue;
      const { messageId, retain, base } = unacknowledged;
      kept[line] = { messageId, retain, base };
    }
    return kept;
  }

  grants(): Grants {
    const { down, err } = this.#lines;
    return {
      ...(down.qos === null ? {} : { down: down.qos }),
      ...(err.qos === null ? {} : { err: err.qos }),
    };
  }

  #nextDown(view: DeviceView, version: number): Shipment | null {
    const state = this.#lines.down;
    if (state.qos === null) return null;
    const { applied } = view;
    const changed = version > this.#sentVersion || !samePosition(applied, this.#sentApplied);
    if (!state.owed && !changed) return null;
    if (version < this.#sentVersion) return null; // P5: a ladder read from a lagging replica.
    if (state.inFlight !== null) {
      this.#blocked = true;
      return null;
    }
    const base = state.redeliver?.base ?? this.#held ?? view.base;
    const { messageId, qos, retain, dup } = this.#ship("down", version, base);
    this.#sentVersion = version;
    this.#sentApplied = applied;
    return { messageId, qos, retain, dup, content: { line: "down", base, applied } };
  }

  #shipErr(untold: readonly Problem[], all: readonly Problem[]): Shipment {
    const head = this.#ship("err", 0, 0);
    this.#told = new Set(all.map(nameOf));
    return { ...head, content: { line: "err", problems: untold } };
  }

  #ship(line: Line, version: number, base: number): Omit<Shipment, "content"> {
    const state = this.#lines[line];
    assert(state.inFlight === null && state.qos !== null, "one message in flight per line");
    const again = state.qos === 1 ? state.redeliver : null;
    const messageId = state.qos === 0 ? 0 : (again?.messageId ?? this.#newMessageId());
    const retain = again?.retain ?? state.retainNext;
    state.inFlight = { messageId, version, base, retain, qos: state.qos, overtaken: false };
    state.redeliver = null;
    // After a redelivery the SUBSCRIBE's own retained message is still owed.
    state.owed = again !== null && state.retainNext;
    if (again === null) state.retainNext = false;
    return { messageId, qos: state.qos, retain, dup: again !== null };
  }

  #landed(line: Line): boolean {
    const state = this.#lines[line];
    const landed = state.inFlight;
    state.inFlight = null;
    if (line === "down" && landed !== null && !landed.overtaken) this.#held = landed.version;
    const waits = this.#blocked || state.owed;
    this.#blocked = false;
    return waits;
  }

  #newMessageId(): number {
    const used = [this.#lines.down, this.#lines.err].map(
      ({ inFlight, redeliver }) => inFlight?.messageId ?? redeliver?.messageId,
    );
    do {
      this.#lastMessageId = (this.#lastMessageId % PACKET_ID_MAX) + 1;
    } while (used.includes(this.#lastMessageId));
    return this.#lastMessageId;
  }
}

function newLine(): LineState {
  return { qos: null, owed: false, retainNext: false, inFlight: null, redeliver: null };
}

/** One refusal is one position and reason; without a position, its words. */
function nameOf(problem: Problem): string {
  const { position, reason, title, detail } = problem;
  return position === null
    ? `${reason}\n${title}\n${detail ?? ""}`
    : `${position.epoch}.${position.seq}.${reason}`;
}

function samePosition(a: Position | null, b: Position | null): boolean {
  return a === b || (a !== null && b !== null && a.epoch === b.epoch && a.seq === b.seq);
}

function isOlder(view: DeviceView, than: DeviceView): boolean {
  const [a, b] = [view.applied, than.applied];
  if (a === null || b === null) return a === null && b !== null;
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);
}
