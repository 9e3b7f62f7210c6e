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

  /** Why a CONNECT from `address` is refused as busy, as a dotted reason; `null` when it may go on. */
  refusal(address: string): string | null {
    if (this.#closed) return "connect.draining";
    if (this.#options.pressure() >= PRESSURE_REFUSES_FROM) return "connect.pressure";
    const failures = this.#failures.get(address);
    if (failures !== undefined && failures.available() < 1) return "connect.failures";
    return this.#connects.take() ? null : "connect.rate";
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
