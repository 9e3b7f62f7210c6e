/**
 * The way in: a fresh socket is listened to until it has said what it came for, then it stands in line
 * until a login is due; those let in and not yet accepted are timed.
 *
 *   accept ─▶ [ silent ] ──greeting──▶ [ line ] ──a login is due──▶ in login ──CONNACK 0──▶ out of sight
 *                 └─ connectDeadlineMs     └─ loginWaitMs: busy         └─ connectDeadlineMs: put out
 *
 * A socket in line has cost an accept, one read and some kilobytes: its greeting (greeting.ts) is
 * kept, no TLS hello is answered, no CONNECT judged. So a storm waits here for what the token bucket
 * gives, instead of being refused and coming back later and later; nobody in line who hangs up is
 * logged in, and no token is spent on silence. Who came first is let in first, one per turn of the
 * event loop: those who are connected do not wait for those who arrive, and those who arrive are
 * accepted, which Node does once a turn.
 *
 * One door for all listeners of a gateway, and at the level of TCP, so that silence, half a TLS hello,
 * an HTTP request that never becomes a WebSocket and a CONNECT at a byte per second all meet the same
 * clock (THREATS 13).
 * @module
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../src/core/index.ts";
import type { Counter, Gauge, Metrics } from "../src/observe/index.ts";
import type { Admission } from "./admission.ts";
import { Buckets } from "./buckets.ts";
import type { ReadGreeting } from "./greeting.ts";
import type { GatewayLimits } from "./limits.ts";
import { Line, Place } from "./line.ts";
import { Turns } from "./turns.ts";

/** One socket's stay between the line and CONNACK 0. */
export interface Entrance {
  /** Whether a login was due: a token is spent on it. */
  readonly due: boolean;
  /** The CONNECT was accepted: neither counted nor timed any more. Idempotent. */
  accepted(): void;
}

/** What becomes of a socket that came to the door. */
export interface Visit {
  /** How it has to begin. */
  readonly greeting: ReadGreeting;
  /**
   * It may be read, and is paused until somebody does. `said` is what it has said so far; after that
   * it may even have ended.
   */
  admit(entrance: Entrance, said: Buffer): void;
  /** It said its greeting and waited in vain: tells it so, or closes it, at little cost. */
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

const NOTHING = Buffer.alloc(0);

class Visitor extends Place {
  readonly socket: Socket;
  readonly visit: Visit;
  /** Since when it has stood where it stands: among the silent, or in line. */
  sinceMs = 0;
  said: Buffer = NOTHING;
  /** Whether it has said more than its greeting. */
  goesOn = false;
  /** Whether it would have been heard to hang up. */
  believed = false;
  /** Stops listening to it. */
  ignore = () => {};

  constructor(socket: Socket, visit: Visit) {
    super();
    this.socket = socket;
    this.visit = visit;
  }
}

/** Sockets told "busy" per turn. */
const TURNED_AWAY_PER_TURN_MAX = 32;
/** How often the line asks for tokens while there are none. */
const LOOK_AGAIN_MS = 10;
/** What one socket may say before it is let in; a greeting and a first packet or two. */
const HEARD_BYTES_MAX = 8 * 1024;

export class Door {
  readonly #options: DoorOptions;
  readonly #turnedAway: Counter;
  readonly #waitingCount: Gauge;
  readonly #perAddress: Buckets | null;
  readonly #silent = new Line<Visitor>();
  readonly #line = new Line<Visitor>();
  readonly #away = new Turns(TURNED_AWAY_PER_TURN_MAX);
  #inLogin = 0;
  /** Whether one was let in this turn. */
  #isDone = false;
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

  /** Listens to a fresh TCP socket, paused, until it is its turn, or destroys it. */
  enter(socket: Socket, visit: Visit): void {
    const refusal = this.#refusal(socket);
    if (refusal !== null) {
      this.#turnedAway.add(1, { reason: refusal });
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const visitor = new Visitor(socket, visit);
    this.#stand(visitor, this.#silent);
    this.#listen(visitor);
    this.#tell();
    this.#lookLater();
  }

  /** Closes all that stand in line. */
  stop(): void {
    this.#lookAgain?.cancel();
    this.#lookAgain = null;
    for (const line of [this.#silent, this.#line]) {
      for (let one = line.first; one !== null; one = line.first) {
        this.#dismiss(one);
        one.socket.destroy();
      }
    }
    this.#tell();
  }

  #stand(visitor: Visitor, line: Line<Visitor>): void {
    visitor.sinceMs = this.#options.clock.monotonicMs();
    line.add(visitor);
  }

  #listen(visitor: Visitor): void {
    const { socket } = visitor;
    const onData = (chunk: Buffer) => this.#hear(visitor, chunk);
    const onEnd = () => this.#ended(visitor);
    const onGone = () => this.#putOut(visitor, "gone");
    socket.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
    socket.resume();
    visitor.ignore = () => {
      socket.pause();
      socket.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
    };
  }

  #hear(visitor: Visitor, chunk: Buffer): void {
    visitor.said = visitor.said.length === 0 ? chunk : Buffer.concat([visitor.said, chunk]);
    const { said } = visitor;
    const greeting = visitor.visit.greeting(said);
    if (greeting === "other") {
      // It is refused without a login, and so at no cost to those in line.
      this.#letIn(visitor, false);
    } else if (said.length > HEARD_BYTES_MAX) {
      this.#putOut(visitor, "early");
    } else if (greeting !== "more") {
      visitor.goesOn = said.length > greeting;
      if (this.#silent.has(visitor)) this.#queue(visitor);
    }
  }

  /** Whoever went on talking before the end is heard out in its turn. */
  #ended(visitor: Visitor): void {
    if (!visitor.goesOn) this.#putOut(visitor, "gone");
  }

  /**
   * It is believed two turns of the event loop later: whoever gave up while they waited in the
   * kernel's backlog have left a greeting and the end behind it, which only a later turn finds.
   */
  #queue(visitor: Visitor): void {
    this.#silent.remove(visitor);
    this.#stand(visitor, this.#line);
    setImmediate(() =>
      setImmediate(() => {
        visitor.believed = true;
        this.#advance();
      }),
    );
  }

  #advance(): void {
    this.#dismissLate();
    const { first } = this.#line;
    if (!first?.believed || this.#isDone) return;
    const turn = this.#options.admission.turn(() => first.socket.remoteAddress ?? "");
    if (turn === "wait") return;
    this.#restThisTurn();
    this.#letIn(first, turn === "due");
  }

  /** Whoever has waited too long leaves at once, and is told so when there is time. */
  #dismissLate(): void {
    const { connectDeadlineMs, loginWaitMs } = this.#options.limits;
    for (const silent of this.#late(this.#silent, connectDeadlineMs)) {
      this.#putOut(silent, "deadline");
    }
    for (const visitor of this.#late(this.#line, loginWaitMs)) {
      this.#dismiss(visitor);
      this.#turnedAway.add(1, { reason: "busy" });
      visitor.socket.on("error", () => {});
      this.#away.add(() => visitor.visit.turnAway());
      this.#tell();
    }
  }

  /** Those of `line` who have stood there for `waitMs`; each must have left before the next is asked for. */
  *#late(line: Line<Visitor>, waitMs: number): Generator<Visitor> {
    const sinceMsMax = this.#options.clock.monotonicMs() - waitMs;
    for (let one = line.first; one !== null && one.sinceMs <= sinceMsMax; one = line.first)
      yield one;
  }

  /** While anybody is here. */
  #lookLater(): void {
    if (this.#lookAgain !== null || this.#silent.size + this.#line.size === 0) return;
    this.#lookAgain = this.#options.clock.after(
      LOOK_AGAIN_MS,
      () => {
        this.#lookAgain = null;
        this.#advance();
        this.#lookLater();
      },
      { background: true },
    );
  }

  /** The next one waits until the traffic of those inside has had its turn. */
  #restThisTurn(): void {
    this.#isDone = true;
    setImmediate(() => {
      this.#isDone = false;
      this.#advance();
    });
  }

  #putOut(visitor: Visitor, reason: string): void {
    this.#dismiss(visitor);
    this.#turnedAway.add(1, { reason });
    visitor.socket.on("error", () => {});
    visitor.socket.destroy();
    this.#tell();
  }

  /** It is in no line any more and nobody listens to it. */
  #dismiss(visitor: Visitor): void {
    this.#silent.remove(visitor);
    this.#line.remove(visitor);
    visitor.ignore();
  }

  #letIn(visitor: Visitor, due: boolean): void {
    const { socket, visit, said } = visitor;
    const { limits, clock } = this.#options;
    this.#dismiss(visitor);
    this.#inLogin += 1;
    let inside = true;
    const leave = () => {
      if (!inside) return;
      inside = false;
      deadline.cancel();
      this.#inLogin -= 1;
      this.#tell();
    };
    const deadline = clock.after(
      limits.connectDeadlineMs,
      () => {
        this.#turnedAway.add(1, { reason: "deadline" });
        socket.destroy();
      },
      { background: true },
    );
    socket.once("close", leave);
    visit.admit({ due, accepted: leave }, said);
  }

  #refusal({ remoteAddress = "" }: Socket): string | null {
    if (this.#perAddress?.take(remoteAddress) === false) return "address";
    return this.#unaccepted >= this.#options.limits.unauthenticatedMax ? "crowded" : null;
  }

  get #unaccepted(): number {
    return this.#silent.size + this.#line.size + this.#inLogin;
  }

  #tell(): void {
    this.#waitingCount.set(this.#unaccepted);
  }
}
