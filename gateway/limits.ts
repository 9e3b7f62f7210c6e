/**
 * Every bound of the uplink, with its default, checked against one another.
 *
 * P8: nothing a peer sends may cost more than a bounded amount of memory and
 * CPU before it is refused. The THREATS row each bound answers is named beside
 * it. Pure: no Node built-ins.
 * @module
 */
import { assert, type Clock, InvalidConfigError, limits } from "../src/core/index.ts";

/** Filters in one SUBSCRIBE or UNSUBSCRIBE (THREATS 15; the cap AWS IoT uses). */
export const FILTERS_PER_PACKET_MAX = 8;
/** Whole packets handed to the broker per turn, so that one socket's chunk cannot fill a tick. */
export const PACKETS_PER_TURN_MAX = 64;
/** What a delta costs in memory beside its bytes, so that a flood of empty ones is counted too. */
export const DELTA_OVERHEAD_BYTES = 256;
/** `pressure()` at or above this refuses new CONNECTs as busy; the scale is 0 (idle) to 10. */
export const PRESSURE_REFUSES_FROM = 8;

/** `burst` at once, then `ratePerS` per second; both > 0. */
export interface TokenBucketLimit {
  readonly ratePerS: number;
  readonly burst: number;
}

export interface GatewayLimits {
  /** Sockets of one listener, accepted or not. */
  readonly connectionsMax: number;
  /** Sockets of the whole gateway without a CONNACK 0 yet (THREATS 13). */
  readonly unauthenticatedMax: number;
  /**
   * From accept to a whole greeting (greeting.ts), and again from the end of the line to CONNACK 0,
   * TLS handshake included (THREATS 13).
   */
  readonly connectDeadlineMs: number;
  /**
   * How long whoever has said their greeting may stand in line for a login; then the answer is 3,
   * "server unavailable". Shorter than the time that devices wait for a CONNACK, 30 s for the SDK and
   * most other clients.
   */
  readonly loginWaitMs: number;
  /** CONNECTs of the whole gateway; those beyond it wait in line. */
  readonly connects: TokenBucketLimit;
  /**
   * Refused logins of one peer address; beyond them the answer is 3 without a
   * look at the credentials (THREATS 2). `null` turns it off, which is the
   * default: behind a TCP balancer all devices share one address.
   */
  readonly failedLoginsPerAddress: TokenBucketLimit | null;
  /**
   * Connections from one peer address; beyond them a socket is closed before TLS spends anything on
   * it. `null` turns it off, which is the default for the same reason.
   */
  readonly connectionsPerAddress: TokenBucketLimit | null;
  /**
   * Accepted CONNECTs of one device; beyond them the answer is 3 without a look at the credentials,
   * so that a device that flaps, or two that take one id from each other, cost little. `null`: any.
   */
  readonly connectsPerDevice: TokenBucketLimit | null;
  /** Frames of one device; beyond them its socket is not read (THREATS 16). `null`: any number. */
  readonly deltasPerDevice: TokenBucketLimit | null;
  /** SUBSCRIBE and UNSUBSCRIBE filters of one session; each may cost a retained frame. */
  readonly subscribes: TokenBucketLimit;
  /** Keepalive a CONNECT may ask for, seconds, inclusive; outside it the answer is 5 (THREATS 14). */
  readonly keepaliveSMin: number;
  readonly keepaliveSMax: number;
  /** Deltas of one client taken and not yet acknowledged. */
  readonly inFlightCountMax: number;
  /** Deltas of one client read but held back by a full window; one more closes the socket. */
  readonly waitingCountMax: number;
  /** Bytes of all clients' deltas taken and not yet acknowledged; beyond it no socket is read. */
  readonly inFlightBytesMax: number;
  /** Bytes written to one client that it has not read; more closes the socket. */
  readonly unreadBytesMax: number;
  /** A batch closes on whichever comes first: deltas, bytes, or age. */
  readonly batchCountMax: number;
  readonly batchBytesMax: number;
  readonly batchLingerMs: number;
  /** Batches of one shard being added at once. */
  readonly addsPerShardMax: number;
  /**
   * From closing a batch to its durable add, however often that has to be said; later the outcome
   * counts as unknown and its devices are closed. Longer than most fail-overs, and shorter than the
   * 30 s after which the SDK takes a connection without its PUBACK for dead.
   */
  readonly addTimeoutMs: number;
}

export const DEFAULT_GATEWAY_LIMITS: GatewayLimits = {
  connectionsMax: 20_000,
  // All of a gateway's devices may come back at once; one that waits is a socket of some kilobytes.
  unauthenticatedMax: 20_000,
  // The end of thousands takes a moment too, and none is to be there after five seconds.
  connectDeadlineMs: 4_500,
  loginWaitMs: 29_000,
  // A login takes one to two milliseconds of a core, which is for those who are connected as well.
  connects: { ratePerS: 500, burst: 100 },
  failedLoginsPerAddress: null,
  connectionsPerAddress: null,
  connectsPerDevice: { ratePerS: 0.5, burst: 30 },
  // A TV says something once a minute; one that was offline says all that waited at once.
  deltasPerDevice: { ratePerS: 100, burst: 1_000 },
  subscribes: { ratePerS: 1, burst: 16 },
  keepaliveSMin: 5,
  keepaliveSMax: 3_600,
  inFlightCountMax: 256,
  waitingCountMax: 1_024,
  // Below what the queue's producer takes before it refuses, so that sockets rest instead of closing.
  inFlightBytesMax: 16 * 1024 * 1024,
  unreadBytesMax: 256 * 1024,
  batchCountMax: 64,
  batchBytesMax: 256 * 1024,
  batchLingerMs: 6,
  addsPerShardMax: 4,
  addTimeoutMs: 25_000,
};

assert(PACKETS_PER_TURN_MAX < DEFAULT_GATEWAY_LIMITS.waitingCountMax, "a turn fits the wait list");
assert(
  limits.DEVICE_INFLIGHT_MAX < DEFAULT_GATEWAY_LIMITS.inFlightCountMax,
  "an honest device never fills its window",
);

/** The defaults with `overrides` laid over them. Throws `InvalidConfigError` listing every fault. */
export function gatewayLimits(overrides: Partial<GatewayLimits> = {}): GatewayLimits {
  const chosen = { ...DEFAULT_GATEWAY_LIMITS, ...overrides };
  const faults: string[] = [];
  for (const [name, value] of Object.entries(chosen)) {
    const numbers = typeof value === "number" ? [value] : Object.values(value ?? {});
    if (!numbers.every((number) => Number.isFinite(number) && number > 0)) {
      faults.push(`limits.${name} must be > 0: got ${JSON.stringify(value)}`);
    }
  }
  if (chosen.keepaliveSMin > chosen.keepaliveSMax) {
    faults.push(`limits.keepaliveSMin must be ≤ keepaliveSMax: got ${chosen.keepaliveSMin}`);
  }
  const packetBytes = limits.PACKET_BYTES_MAX + DELTA_OVERHEAD_BYTES;
  if (chosen.inFlightBytesMax < packetBytes) {
    faults.push(`limits.inFlightBytesMax must hold one packet, ${packetBytes} bytes`);
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return Object.freeze(chosen);
}

/** A token bucket on the monotonic clock; starts full. */
export class TokenBucket {
  readonly #limit: TokenBucketLimit;
  readonly #clock: Clock;
  #tokens: number;
  #countedAtMs: number;

  constructor(limit: TokenBucketLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#tokens = limit.burst;
    this.#countedAtMs = clock.monotonicMs();
  }

  /** Takes one token; false, and takes none, when the bucket is empty. */
  take(): boolean {
    if (this.available() < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes one token, on credit if need be; gives milliseconds until the credit is paid back, or 0. */
  spend(): number {
    this.available();
    this.#tokens -= 1;
    return this.waitMs();
  }

  /** Milliseconds until no token is owed; 0 when none is. */
  waitMs(): number {
    const owed = Math.max(0, -this.available());
    return Math.ceil((owed / this.#limit.ratePerS) * 1_000);
  }

  /** Tokens at this moment, up to `burst`, with fractions; below 0 what was taken on credit. */
  available(): number {
    const nowMs = this.#clock.monotonicMs();
    const grownBy = ((nowMs - this.#countedAtMs) / 1_000) * this.#limit.ratePerS;
    this.#tokens = Math.min(this.#limit.burst, this.#tokens + grownBy);
    this.#countedAtMs = nowMs;
    return this.#tokens;
  }
}
