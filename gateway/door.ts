/**
 * How many sockets may stand in the hall: those not yet accepted are counted
 * and put out after a deadline, before a byte of theirs is looked at.
 *
 * One door for all listeners of a gateway, and at the level of TCP, so that
 * silence, half a TLS hello, an HTTP request that never becomes a WebSocket and
 * a CONNECT at a byte per second all meet the same clock (THREATS 13).
 * @module
 */
import type { Socket } from "node:net";
import type { Clock } from "../src/core/index.ts";
import type { Counter, Gauge, Metrics } from "../src/observe/index.ts";
import { Buckets } from "./buckets.ts";
import type { GatewayLimits } from "./limits.ts";

/** One socket's stay between accept and CONNACK 0. */
export interface Entrance {
  /** The CONNECT was accepted: neither counted nor timed any more. Idempotent. */
  accepted(): void;
}

export interface DoorOptions {
  readonly limits: Pick<
    GatewayLimits,
    "unauthenticatedMax" | "connectDeadlineMs" | "connectionsPerAddress"
  >;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #turnedAway: Counter;
  readonly #waitingCount: Gauge;
  readonly #perAddress: Buckets | null;
  #waiting = 0;

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

  /** Lets a fresh TCP socket in, or destroys it and returns `null`. */
  enter(socket: Socket): Entrance | null {
    const { limits, clock } = this.#options;
    const reason = this.#refusal(socket);
    if (reason !== null) {
      this.#turnedAway.add(1, { reason });
      socket.on("error", () => {});
      socket.destroy();
      return null;
    }
    this.#count(1);
    let inside = true;
    const leave = () => {
      if (!inside) return;
      inside = false;
      deadline.cancel();
      this.#count(-1);
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
    return { accepted: leave };
  }

  #refusal({ remoteAddress = "" }: Socket): string | null {
    if (this.#perAddress?.take(remoteAddress) === false) return "address";
    return this.#waiting >= this.#options.limits.unauthenticatedMax ? "crowded" : null;
  }

  #count(change: 1 | -1): void {
    this.#waiting += change;
    this.#waitingCount.set(this.#waiting);
  }
}
