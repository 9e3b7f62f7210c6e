/**
 * One connected device as the downlink sees it: which of its two topics it
 * listens to, what it holds and can read as far as we know, what is in flight,
 * what is owed.
 *
 * Pure: it decides what to send next and is told what happened. Per topic at
 * most one message is in flight, or a few parts of one release, and what is
 * owed is a flag, never a queue, so a device costs the same few hundred bytes
 * however slowly it reads and however many releases pass meanwhile (P8).
 *
 *   idle ──owed or behind──▶ in flight ──PUBACK──▶ idle, held = version
 *                               └─ newer release, SUBSCRIBE or pull: owed, sent after the PUBACK
 *
 * A release may come in several parts, each a message of its own. A few leave
 * together, their PUBACKs send the next few, and only the last part changes what
 * is held. What is owed or newer starts over at part 1, which a device must
 * tolerate: the bodies of an older release need not be kept for the slowest
 * reader. To a session that outlives its connection parts go one by one, so that
 * it never has more than one message to deliver again.
 *
 * P5: the version sent never falls. P6: a refusal leaves before the watermark
 * that passes it, and the watermark never falls.
 * @module
 */
import { assert, type DeviceKey } from "../src/core/index.ts";
import type { Position, Problem } from "../src/wire/index.ts";
import { ModelLine } from "./model-line.ts";
import type { DeviceView, Told } from "./ports.ts";
import type { GrantedQos } from "./publish-packet.ts";

/** The topics a device may listen to. */
export type Line = "down" | "err";
export type Grants = Partial<Record<Line, GrantedQos>>;

/** A QoS 1 message that was sent and not acknowledged when the connection ended. */
interface Unacknowledged {
  readonly messageId: number;
  readonly retain: boolean;
  /** The version the lost frame was computed against; 0 on the err line. */
  readonly base: number;
}
export type Outstanding = Partial<Record<Line, Unacknowledged>>;

/** What a down message must be framed from. */
export interface DownContent extends Told {
  readonly line: "down";
  readonly applied: Position | null;
  /** 1 for the first, and only 1 when the release comes in one. */
  readonly part: number;
}

export type Content =
  | DownContent
  | { readonly line: "err"; readonly problems: readonly Problem[] }
  | { readonly line: "model"; readonly version: number };

/** One message to send now. */
export interface Shipment {
  /** 0 with QoS 0, which has no packet id; its end is when the socket has taken it. */
  readonly messageId: number;
  readonly qos: GrantedQos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly content: Content;
}

/** The newest release as far as a subscriber needs to know it. */
export interface Newest {
  readonly version: number;
  /** In how many messages, at least 1, a device gets there that holds and speaks this. */
  parts(told: Told): number;
}

/** A release on its way in several messages. */
interface Transition extends Told {
  readonly version: number;
  /** The part sent last; 0 before the first. */
  readonly part: number;
  readonly parts: number;
  /** [MQTT-3.3.1-8] all parts of what answers a SUBSCRIBE are what the topic retains. */
  readonly retain: boolean;
}

/** A message, or parts that left together: then what is said here is said of the last of them. */
interface InFlight extends Unacknowledged {
  readonly version: number;
  readonly qos: GrantedQos;
  /** The packet ids whose PUBACK has not come; with QoS 0 none. */
  awaited: readonly number[];
  /** Its PUBACK shows that the device holds `version`: it completes the release, and no pull came after it. */
  completes: boolean;
}

/** What a PUBACK, or a socket that has taken a QoS 0 message, has set free. */
export interface Landing {
  readonly line: Content["line"];
  /** Something waits for it. */
  readonly waits: boolean;
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
const NONE: readonly number[] = [];
/** Parts of a release that leave together, at most: with 5 KB each some 16 KB. */
export const PARTS_AT_ONCE_MAX = 3;

export class Subscriber {
  readonly key: DeviceKey;
  readonly #partsAtOnceMax: number;
  readonly models = new ModelLine();
  readonly #lines: Readonly<Record<Line, LineState>> = { down: newLine(), err: newLine() };
  /** The version this device holds as far as this connection has shown; null when it has not. */
  #held: number | null = null;
  /** The minor it speaks, as this connection has shown; null, like 0, is the oldest. */
  #minor: number | null = null;
  #transition: Transition | null = null;
  #sentVersion = -1;
  #sentApplied: Position | null = null;
  /** The newest view seen: two look-ups may cross, and a lagging replica may answer. */
  #known: DeviceView | null = null;
  /** Names of the problems already sent; never more than one view holds. */
  #told: ReadonlySet<string> = new Set();
  #blocked = false;
  #lastMessageId = 0;

  /** `lasting`: its session may outlive the connection. */
  constructor(key: DeviceKey, lasting: boolean) {
    this.key = key;
    this.#partsAtOnceMax = lasting ? 1 : PARTS_AT_ONCE_MAX;
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
    if (line === "down") this.#transition = null;
  }

  /** [MQTT-4.4.0-1] A clean=0 session is back: unacknowledged messages go again under their packet ids. */
  restored(grants: Grants, outstanding: Outstanding, minor: number): void {
    this.#minor ??= minor;
    for (const line of ["err", "down"] as const) {
      const state = this.#lines[line];
      state.qos ??= grants[line] ?? null;
      if (state.qos === null) continue;
      state.owed = true;
      if (state.inFlight === null) state.redeliver = outstanding[line] ?? null;
      this.#lastMessageId = Math.max(this.#lastMessageId, outstanding[line]?.messageId ?? 0);
    }
  }

  /** The newest view seen on this connection; null before the first. */
  get known(): DeviceView | null {
    return this.#known;
  }

  /** The minor this device speaks, for a session that outlives the connection. */
  get minor(): number {
    return this.#minor ?? 0;
  }

  /** The device asks for the newest release and says what it holds (0 for nothing) and can read. */
  pulled({ base, minor }: Told): void {
    this.#held = base;
    this.#minor = minor;
    this.#transition = null;
    const { down } = this.#lines;
    if (down.inFlight !== null) down.inFlight.completes = false;
    down.redeliver = null;
    down.owed = down.qos !== null;
  }

  /** A delta named the version its device held when it was made; it may be an old delta, resent. */
  mentioned({ base, minor }: Told): void {
    this.#held ??= base;
    this.#minor ??= minor;
  }

  /** PUBACK. Null for a packet id that is not in flight, and while others of its write are. */
  acknowledged(messageId: number): Landing | null {
    for (const line of ["down", "err"] as const) {
      const { inFlight } = this.#lines[line];
      if (inFlight?.awaited.includes(messageId) !== true) continue;
      inFlight.awaited = inFlight.awaited.filter((id) => id !== messageId);
      return inFlight.awaited.length === 0 ? this.#landed(line) : null;
    }
    const model = this.models.inFlight;
    return model?.qos === 1 && model.messageId === messageId ? this.#landed("model") : null;
  }

  /** The socket has taken a QoS 0 message: nothing more will be heard of it. */
  flushed(line: Content["line"]): Landing | null {
    const { inFlight } = line === "model" ? this.models : this.#lines[line];
    return inFlight?.qos === 0 ? this.#landed(line) : null;
  }

  /**
   * What to send, in this order and in one write, given what the server knows and the newest release
   * there is.
   */
  next(seen: DeviceView, newest: Newest): Shipment[] {
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
    this.#shipDown(view, newest, shipments);
    return shipments;
  }

  /** The message that carries model `version`, which is wanted. [MQTT-3.3.1-8] It answers a SUBSCRIBE. */
  nextModel(version: number): Shipment {
    const { messageId, qos } = this.models.ship(version, () => this.#newMessageId());
    return { messageId, qos, retain: true, dup: false, content: { line: "model", version } };
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

  #shipDown(view: DeviceView, newest: Newest, shipments: Shipment[]): void {
    const state = this.#lines.down;
    if (state.qos === null) return;
    const { applied } = view;
    const { version } = newest;
    const unfinished = this.#unfinished(version);
    const changed = version > this.#sentVersion || !samePosition(applied, this.#sentApplied);
    if (!state.owed && !changed && unfinished === null) return;
    if (version < this.#sentVersion) return; // P5: a ladder read from a lagging replica.
    if (state.inFlight !== null) {
      this.#blocked = true;
      return;
    }
    const goesOn = !state.owed && unfinished !== null;
    let { base, minor, part, parts, retain } = goesOn ? unfinished : this.#begin(view, newest);
    const lastPart = Math.min(parts, part + (state.qos === 0 ? 1 : this.#partsAtOnceMax));
    while (part < lastPart) {
      part += 1;
      const content = { line: "down", base, minor, applied, part } as const;
      const shipment = this.#ship(content, { version, base, completes: part === parts }, retain);
      retain = shipment.retain;
      shipments.push(shipment);
    }
    this.#transition = { base, minor, version, part, parts, retain };
    this.#sentVersion = version;
    this.#sentApplied = applied;
  }

  /** The transition to `version` of which parts are still to be sent. */
  #unfinished(version: number): Transition | null {
    const transition = this.#transition;
    if (transition === null || transition.part === transition.parts) return null;
    return transition.version === version ? transition : null;
  }

  #begin(view: DeviceView, newest: Newest): Transition {
    const { minor } = this;
    const base = this.#lines.down.redeliver?.base ?? this.#held ?? view.base;
    const parts = newest.parts({ base, minor });
    return { base, minor, version: newest.version, part: 0, parts, retain: false };
  }

  #shipErr(untold: readonly Problem[], all: readonly Problem[]): Shipment {
    const of = { version: 0, base: 0, completes: false };
    const shipment = this.#ship({ line: "err", problems: untold }, of, false);
    this.#told = new Set(all.map(nameOf));
    return shipment;
  }

  /** `retains` when the message belongs to one that answered a SUBSCRIBE. */
  #ship(
    content: Exclude<Content, { line: "model" }>,
    { version, base, completes }: Pick<InFlight, "version" | "base" | "completes">,
    retains: boolean,
  ): Shipment {
    const state = this.#lines[content.line];
    const { qos, inFlight } = state;
    const alone = inFlight === null || (content.line === "down" && inFlight.version === version);
    assert(alone && qos !== null, "what is in flight on a line is one message or of one release");
    const again = qos === 1 ? state.redeliver : null;
    const messageId = qos === 0 ? 0 : (again?.messageId ?? this.#newMessageId());
    const retain = again?.retain ?? (state.retainNext || retains);
    const before = inFlight?.awaited ?? NONE;
    const awaited = qos === 0 ? NONE : [...before, messageId];
    state.inFlight = { version, base, completes, messageId, retain, qos, awaited };
    state.redeliver = null;
    // After a redelivery the SUBSCRIBE's own retained message is still owed.
    state.owed = again !== null && state.retainNext;
    if (again === null) state.retainNext = false;
    return { messageId, qos, retain, dup: again !== null, content };
  }

  #landed(line: Content["line"]): Landing {
    if (line === "model") {
      this.models.landed();
      return { line, waits: this.models.next !== null };
    }
    const state = this.#lines[line];
    const landed = state.inFlight;
    state.inFlight = null;
    if (line === "down" && landed?.completes === true) this.#held = landed.version;
    const unfinished = line === "down" && this.#unfinished(this.#sentVersion) !== null;
    const waits = this.#blocked || state.owed || unfinished;
    this.#blocked = false;
    return { line, waits };
  }

  #newMessageId(): number {
    do {
      this.#lastMessageId = (this.#lastMessageId % PACKET_ID_MAX) + 1;
    } while (this.#isUsed(this.#lastMessageId));
    return this.#lastMessageId;
  }

  #isUsed(messageId: number): boolean {
    const { down, err } = this.#lines;
    const isModels = messageId === this.models.inFlight?.messageId;
    return isModels || usesId(down, messageId) || usesId(err, messageId);
  }
}

function usesId({ inFlight, redeliver }: LineState, messageId: number): boolean {
  return inFlight?.awaited.includes(messageId) === true || redeliver?.messageId === messageId;
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
