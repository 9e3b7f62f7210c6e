/**
 * The way in: every fresh socket stands in one line, unread, until a login is
 * due; those let in and not yet accepted are timed.
 *
 *   accept ─▶ [ line, ≤ unauthenticatedMax ] ──a login is due──▶ in login ──CONNACK 0──▶ out of sight
 *                 └─ loginWaitMs passed: busy        └─ connectDeadlineMs passed: put out
 *
 * A socket in line has cost an accept and some kilobytes: no byte of it is
 * read, no TLS hello answered. So a storm waits here for what the token bucket
 * gives, instead of being refused and coming back later and later. The newest is
 * let in first: when more come than can be served, the oldest are those about to
 * give up, and a gateway that serves them answers nobody in time. A wait ends
 * before a device's own patience does. Few are let in per turn of the event loop,
 * so that those who are connected do not wait for those who arrive.
 *
 * One door for all listeners of a gateway, and at the level of TCP, so that
 * silence, half a TLS hello, an HTTP request that never becomes a WebSocket and
 * a CONNECT at a byte per second all meet the same clock (THREATS 13).
 * @module
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../src/core/index.ts";
import type { Counter, Gauge, Metrics } from "../src/observe/index.ts";
import type { Admission } from "./admission.ts";
import { Buckets } from "./buckets.ts";
import type { GatewayLimits } from "./limits.ts";
import { Turns } from "./turns.ts";

/** One socket's stay between the line and CONNACK 0. */
export interface Entrance {
  /** Whether a login was due: a token is spent on it. */
  readonly due: boolean;
  /** The CONNECT was accepted: neither counted nor timed any more. Idempotent. */
  accepted(): void;
  /** Whoever said CONNECT hung up before it was judged: the token it cost goes to somebody else. */
  hungUp(): void;
}

/** What becomes of a socket that came to the door. */
export interface Visit {
  /** It may be read. */
  admit(entrance: Entrance): void;
  /** It waited in vain: tells it so, or closes it, at little cost. */
  turnAway(): void;
}

export interface DoorOptions {
  readonly limits: Pick<
    GatewayLimits,
    "unauthenticatedMax" | "connectDeadlineMs" | "loginWaitMs" | "connectionsPerAddress"
  >;
  readonly admission: Pick<Admission, "turn" | "unspent">;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

interface Waiting {
  readonly socket: Socket;
  readonly visit: Visit;
  readonly sinceMs: number;
}

/** Sockets let in per turn of the event loop: a few milliseconds of work. */
const PER_TURN_MAX = 8;
/** Sockets told "busy" per turn. */
const TURNED_AWAY_PER_TURN_MAX = 32;
/** How often the line asks for tokens while there are none. */
const LOOK_AGAIN_MS = 10;

export class Door {
  readonly #options: DoorOptions;
  readonly #turnedAway: Counter;
  readonly #waitingCount: Gauge;
  readonly #perAddress: Buckets | null;
  /** Oldest first; what is in front of `#head` has left. */
  #line: Waiting[] = [];
  #head = 0;
  readonly #away = new Turns(TURNED_AWAY_PER_TURN_MAX);
  #inLogin = 0;
  #doneThisTurn = 0;
  #lookAgain: Timer | null = null;

  constructor(options: DoorOptions) {
    this.#options = options;
    const { connectionsPerAddress } = options.limits;
    this.#perAddress =
      connectionsPerAddress === null ? null : new Buckets(connectionsPerAddress, options.clock);
    this.#turnedAway = options.metrics.counter(
      "omega_gateway_turned_away_total",
      "Sockets closed before their CONNECT was accepted",
      ["reason"],
    );
    this.#waitingCount = options.metrics.gauge(
      "omega_gateway_unauthenticated_count",
      "Sockets without an accepted CONNECT",
    );
  }

  /** Puts a fresh TCP socket, paused, into the line, or destroys it. */
  enter(socket: Socket, visit: Visit): void {
    const { clock } = this.#options;
    const reason = this.#refusal(socket);
    if (reason !== null) {
      this.#turnedAway.add(1, { reason });
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    this.#line.push({ socket, visit, sinceMs: clock.monotonicMs() });
    this.#tell();
    if (this.#lookAgain === null) this.#advance();
  }

  /** Closes all that stand in line. */
  stop(): void {
    this.#lookAgain?.cancel();
    this.#lookAgain = null;
    for (const { socket } of this.#line.slice(this.#head)) socket.destroy();
    this.#line = [];
    this.#head = 0;
    this.#tell();
  }

  get #inLine(): number {
    return this.#line.length - this.#head;
  }

  #advance(): void {
    this.#dismissLate();
    for (;;) {
      const newest = this.#inLine === 0 ? undefined : this.#line.at(-1);
      if (newest === undefined || this.#doneThisTurn >= PER_TURN_MAX) return;
      const turn = this.#options.admission.turn(() => newest.socket.remoteAddress ?? "");
      if (turn === "wait") {
        this.#lookLater();
        return;
      }
      this.#line.pop();
      this.#count();
      this.#letIn(newest, turn === "due");
    }
  }

  /** Whoever has waited too long leaves the line at once, and is told so when there is time. */
  #dismissLate(): void {
    const { limits, clock } = this.#options;
    const { loginWaitMs, connectDeadlineMs } = limits;
    const sinceMsMin = clock.monotonicMs() - Math.min(loginWaitMs, connectDeadlineMs);
    for (;;) {
      const oldest = this.#line[this.#head];
      if (oldest === undefined || oldest.sinceMs > sinceMsMin) break;
      this.#head += 1;
      this.#turnedAway.add(1, { reason: "busy" });
      this.#away.add(() => oldest.visit.turnAway());
    }
    if (this.#head === 0) return;
    // Copied once for as many as have left, so that leaving costs the same however long the line is.
    if (this.#head * 2 >= this.#line.length) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    this.#tell();
  }

  #lookLater(): void {
    const { clock } = this.#options;
    this.#lookAgain ??= clock.after(LOOK_AGAIN_MS, () => this.#looked(), { background: true });
  }

  #looked(): void {
    this.#lookAgain = null;
    this.#advance();
  }

  /** The turn's work is counted until the traffic of those inside has had its own. */
  #count(): void {
    this.#doneThisTurn += 1;
    if (this.#doneThisTurn > 1) return;
    setImmediate(() => {
      this.#doneThisTurn = 0;
      this.#advance();
    });
  }

  #letIn({ socket, visit, sinceMs }: Waiting, due: boolean): void {
    const { limits, clock } = this.#options;
    this.#inLogin += 1;
    let inside = true;
    const leave = () => {
      if (!inside) return;
      inside = false;
      deadline.cancel();
      this.#inLogin -= 1;
      this.#tell();
    };
    const waitedMs = clock.monotonicMs() - sinceMs;
    const deadline = clock.after(
      Math.max(0, limits.connectDeadlineMs - waitedMs),
      () => {
        this.#turnedAway.add(1, { reason: "deadline" });
        socket.destroy();
      },
      { background: true },
    );
    socket.once("close", leave);
    const hungUp = () => {
      this.#turnedAway.add(1, { reason: "gone" });
      if (due) this.#options.admission.unspent();
    };
    visit.admit({ due, accepted: leave, hungUp });
  }

  #refusal({ remoteAddress = "" }: Socket): string | null {
    if (this.#perAddress?.take(remoteAddress) === false) return "address";
    const inside = this.#inLine + this.#inLogin;
    return inside >= this.#options.limits.unauthenticatedMax ? "crowded" : null;
  }

  #tell(): void {
    this.#waitingCount.set(this.#inLine + this.#inLogin);
  }
}
