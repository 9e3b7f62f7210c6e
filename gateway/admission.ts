/**
 * Who may try to log in at this moment: the answer before any question of who they are.
 *
 * Refusals here are all CONNACK 3, "server unavailable": the device did nothing
 * wrong and comes back with its own backoff. Nothing is remembered of one that
 * was refused, except how often an address failed, in a map of bounded size.
 * @module
 */
import type { Clock } from "../src/core/index.ts";
import { type GatewayLimits, PRESSURE_REFUSES_FROM, TokenBucket } from "./limits.ts";

/** Addresses whose failures are remembered; the one that failed longest ago is forgotten first. */
const ADDRESSES_MAX = 10_000;

export interface AdmissionOptions {
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  /** 0 (idle) … 10 (overwhelmed). */
  readonly pressure: () => number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #connects: TokenBucket;
  readonly #failures = new Map<string, TokenBucket>();
  #closed = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#connects = new TokenBucket(options.limits.connects, options.clock);
  }

  /**
   * Whether the next in line may log in: "due" spends a token on it, "wait" says that there is none
   * yet, "refuse" that its CONNECT will be refused, so that it must neither wait nor cost a token.
   */
  turn(address: () => string): "due" | "wait" | "refuse" {
    if (this.#refusesAll() !== null) return "refuse";
    if (this.#failures.size > 0 && this.#failedTooOften(address())) return "refuse";
    return this.#connects.take() ? "due" : "wait";
  }

  /**
   * Why a CONNECT from `address` is refused as busy, as a dotted reason; `null` when it may go on.
   * `due` when a token was spent on it.
   */
  refusal(address: string, due: boolean): string | null {
    const reason = this.#refusesAll();
    if (reason !== null) return reason;
    if (this.#failedTooOften(address)) return "connect.failures";
    return due || this.#connects.take() ? null : "connect.rate";
  }

  #failedTooOften(address: string): boolean {
    const failures = this.#failures.get(address);
    return failures !== undefined && failures.available() < 1;
  }

  #refusesAll(): string | null {
    if (this.#closed) return "connect.draining";
    return this.#options.pressure() >= PRESSURE_REFUSES_FROM ? "connect.pressure" : null;
  }

  /** A login from `address` was refused for its credentials. */
  failed(address: string): void {
    const limit = this.#options.limits.failedLoginsPerAddress;
    if (limit === null) return;
    const bucket = this.#failures.get(address) ?? new TokenBucket(limit, this.#options.clock);
    bucket.take();
    this.#failures.delete(address);
    this.#failures.set(address, bucket);
    if (this.#failures.size <= ADDRESSES_MAX) return;
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest);
      return;
    }
  }

  /** From now on every CONNECT is refused. */
  close(): void {
    this.#closed = true;
  }
}
