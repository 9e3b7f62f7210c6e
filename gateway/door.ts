/**
 * The way in: every fresh socket stands in one line, unread, until a login is
 * due; those let in and not yet accepted are timed.
 *
 *   accept ─▶ [ line, ≤ unauthenticatedMax ] ──a login is due──▶ in login ──CONNACK 0──▶ out of sight
 *                 └─ loginWaitMs passed: busy        └─ connectDeadlineMs passed: put out
 *
 * A socket in line has cost an accept and some kilobytes: no byte of it is
 * read, no TLS hello answered. So a storm waits here, oldest first, for what the
 * token bucket gives, instead of being refused and coming back later and later.
 * The wait ends before a device's own patience does, and the earlier the longer
 * logins take, so that none is let in who will be gone before the answer. Few
 * are let in per turn of the event loop, so that those who are connected do not
 * wait for those who arrive.
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

/** One socket's stay between the line and CONNACK 0. */
export interface Entrance {
  /** Whether a login was due: a token is spent on it. */
  readonly due: boolean;
  /** The CONNECT was accepted: neither counted nor timed any more. Idempotent. */
  accepted(): void;
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
  readonly admission: Pick<Admission, "turn">;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

interface Waiting {
  readonly socket: Socket;
  readonly visit: Visit;
  readonly sinceMs: number;
}

/** Sockets let in or turned away per turn of the event loop: a few milliseconds of work. */
const PER_TURN_MAX = 8;
/** How much of the longest login of late the next one forgets. */
const LOGIN_DECAY = 0.99;
/** How often the line asks for tokens while there are none. */
const LOOK_AGAIN_MS = 10;

export class Door {
  readonly #options: DoorOptions;
  readonly #turnedAway: Counter;
  readonly #waitingCount: Gauge;
  readonly #perAddress: Buckets | null;
  readonly #line = new Set<Waiting>();
  #inLogin = 0;
  /** From the line to CONNACK 0: the longest of late. */
  #loginMs = 0;
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
    this.#line.add({ socket, visit, sinceMs: clock.monotonicMs() });
    this.#tell();
    if (this.#lookAgain === null) this.#advance();
  }

  /** Closes all that stand in line. */
  stop(): void {
    this.#lookAgain?.cancel();
    this.#lookAgain = null;
    for (const { socket } of this.#line) socket.destroy();
    this.#line.clear();
    this.#tell();
  }

  #advance(): void {
    const { admission, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const waitMsMax = this.#waitMsMax();
    for (const waiting of this.#line) {
      if (this.#doneThisTurn >= PER_TURN_MAX) return;
      const isLate = nowMs - waiting.sinceMs >= waitMsMax;
      const turn = isLate ? "late" : admission.turn(() => waiting.socket.remoteAddress ?? "");
      if (turn === "wait") {
        this.#lookAgain ??= clock.after(LOOK_AGAIN_MS, () => this.#looked(), { background: true });
        return;
      }
      this.#count();
      this.#line.delete(waiting);
      if (turn === "late") this.#late(waiting);
      else this.#letIn(waiting, turn === "due");
    }
  }

  /** The line is never shorter than half of what it may be: slow logins must not close it. */
  #waitMsMax(): number {
    const { loginWaitMs, connectDeadlineMs } = this.#options.limits;
    const mostMs = Math.min(loginWaitMs, connectDeadlineMs);
    return Math.max(mostMs / 2, mostMs - this.#loginMs);
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

  #late({ visit }: Waiting): void {
    this.#turnedAway.add(1, { reason: "busy" });
    this.#tell();
    visit.turnAway();
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
    const admittedMs = clock.monotonicMs();
    const deadline = clock.after(
      Math.max(0, limits.connectDeadlineMs - (admittedMs - sinceMs)),
      () => {
        this.#turnedAway.add(1, { reason: "deadline" });
        socket.destroy();
      },
      { background: true },
    );
    socket.once("close", leave);
    const accepted = () => {
      const tookMs = clock.monotonicMs() - admittedMs;
      this.#loginMs = Math.max(tookMs, this.#loginMs * LOGIN_DECAY);
      leave();
    };
    visit.admit({ due, accepted });
  }

  #refusal({ remoteAddress = "" }: Socket): string | null {
    if (this.#perAddress?.take(remoteAddress) === false) return "address";
    const { unauthenticatedMax } = this.#options.limits;
    return this.#line.size + this.#inLogin >= unauthenticatedMax ? "crowded" : null;
  }

  #tell(): void {
    this.#waitingCount.set(this.#line.size + this.#inLogin);
  }
}
