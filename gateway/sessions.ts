/**
 * What the gateway remembers of clean=0 sessions between connections: the
 * granted topics and the packet ids not acknowledged. No message is ever kept:
 * a down message is computed at reconnect, so an absent device costs the same
 * after a minute as after a week.
 *
 * The memory is a courtesy, not a promise: a gateway is stateless, sessions
 * are dropped after `ttlMs` or when `countMax` is passed, least recently used
 * first, and a device that finds no session subscribes again (CONNACK says
 * which it is).
 * @module
 */
import type { Clock } from "../src/core/index.ts";
import type { GrantedQos } from "./publish-packet.ts";
import type { Grants, Line, Outstanding } from "./subscriber.ts";

export interface Session {
  readonly grants: Grants;
  readonly outstanding: Outstanding;
  /** The protocol minor the device spoke. */
  readonly minor: number;
}

export interface SessionsOptions {
  readonly clock: Clock;
  /** Sessions kept at once, ≥ 1. */
  readonly countMax: number;
  /** How long an unused session is kept. */
  readonly ttlMs: number;
}

interface Kept extends Session {
  readonly touchedMs: number;
}

const NEW_SESSION: Session = { grants: {}, outstanding: {}, minor: 0 };

export class Sessions {
  readonly #options: SessionsOptions;
  /** In order of last use: a Map keeps insertion order and every touch inserts again. */
  readonly #kept = new Map<string, Kept>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    this.#expire();
    return this.#kept.size;
  }

  /** The session of `name`, or undefined when there is none any more. */
  find(name: string): Session | undefined {
    this.#expire();
    return this.#kept.get(name);
  }

  grant(name: string, line: Line, qos: GrantedQos): void {
    const session = this.find(name) ?? NEW_SESSION;
    this.save(name, { ...session, grants: { ...session.grants, [line]: qos } });
  }

  revoke(name: string, line: Line): void {
    const session = this.find(name);
    if (session === undefined) return;
    const { [line]: _revoked, ...grants } = session.grants;
    this.save(name, { ...session, grants });
  }

  /** Keeps `session` as the newest; a session without a topic is no session. */
  save(name: string, session: Session): void {
    this.#kept.delete(name);
    if (Object.keys(session.grants).length === 0) return;
    const touchedMs = this.#options.clock.monotonicMs();
    const { grants, outstanding, minor } = session;
    this.#kept.set(name, { grants, outstanding, minor, touchedMs });
    if (this.#kept.size > this.#options.countMax) this.#dropOldest();
  }

  forget(name: string): void {
    this.#kept.delete(name);
  }

  #expire(): void {
    const oldestMs = this.#options.clock.monotonicMs() - this.#options.ttlMs;
    for (const [name, { touchedMs }] of this.#kept) {
      if (touchedMs > oldestMs) return;
      this.#kept.delete(name);
    }
  }

  #dropOldest(): void {
    for (const name of this.#kept.keys()) {
      this.#kept.delete(name);
      return;
    }
  }
}
