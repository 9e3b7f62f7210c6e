/**
 * A session with another broker that outlives its connections: connected again,
 * for ever, with full jitter, until left.
 *
 * The first connection is special: when it does not come about, starting fails
 * with the reason, because a wrong address or password is mended by a person.
 * @module
 */
import type { IPublishPacket } from "mqtt-packet";
import {
  type BackoffPolicy,
  backoffDelayMs,
  messageOf,
  OmegaError,
  type Random,
  type Timer,
  TransportError,
} from "../../src/core/index.ts";
import type { Counter, Gauge, Logger, Metrics } from "../../src/observe/index.ts";
import { Connection, type ConnectionOptions, notConnected } from "./connection.ts";
import type { Outgoing } from "./outbox.ts";

/** What takes the PUBLISHes of one connection. */
export interface Reception {
  take(packet: IPublishPacket): void;
  /** The connection is over: nothing may be acknowledged any more. */
  close(): void;
}

export interface SessionOptions extends Omit<ConnectionOptions, "connectTimeoutMs"> {
  receive(connection: Connection): Reception;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const BACKOFF: BackoffPolicy = { delayMsBase: 500, delayMsMax: 30_000 };
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that lasted this long shows that all is well again. */
const STABLE_MS = 5_000;

export class Session {
  readonly #options: SessionOptions;
  readonly #connected: Gauge;
  readonly #ends: Counter;
  #connection: Connection | null = null;
  #opening: Connection | null = null;
  #reception: Reception | null = null;
  #attempt = 0;
  #openedMs = 0;
  #retry: Timer | null = null;
  #stopped = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#connected = metrics.gauge(
      "omega_gateway_broker_connected",
      "1 while connected to the broker in front",
    );
    this.#ends = metrics.counter(
      "omega_gateway_broker_disconnects_total",
      "Connections to the broker in front that failed or ended, by reason",
      ["reason"],
    );
  }

  get connected(): boolean {
    return this.#connection !== null;
  }

  /** Rejects as {@link Connection.open} does. */
  async start(): Promise<void> {
    await this.#connect();
  }

  /** See `Outbox.publish`; rejects with `TransportError("broker.offline")` between connections. */
  publish(message: Outgoing): Promise<void> {
    if (this.#connection === null) return Promise.reject(notConnected(this.#options.address));
    return this.#connection.publish(message);
  }

  /** See {@link Connection.unsubscribe}. */
  unsubscribe(): void {
    this.#connection?.unsubscribe();
  }

  /** Ends the connection, with a goodbye when there is one, and does not return. Idempotent. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    await this.#connection?.leave();
    this.#opening?.cut(new TransportError("broker.left", "this process left the broker"));
  }

  async #connect(): Promise<void> {
    const { receive, ...rest } = this.#options;
    let reception: Reception | null = null;
    try {
      const connection = await Connection.open(
        { ...rest, connectTimeoutMs: CONNECT_TIMEOUT_MS },
        {
          publish: (packet) => reception?.take(packet),
          closed: (error) => this.#lost(error),
        },
        (opening) => {
          this.#opening = opening;
          // What an earlier connection left unacknowledged may come before the SUBACK.
          reception = receive(opening);
          this.#reception = reception;
        },
      );
      this.#opened(connection);
    } catch (error) {
      this.#opening = null;
      this.#closeReception();
      throw error;
    }
  }

  #opened(connection: Connection): void {
    const { address, clientId, filter, clock, log } = this.#options;
    this.#opening = null;
    this.#connection = connection;
    this.#openedMs = clock.monotonicMs();
    this.#connected.set(1);
    log.info("broker.connected", { broker: address.name, clientId, filter });
    if (this.#stopped) void connection.leave();
  }

  #lost(error: OmegaError): void {
    const { clock } = this.#options;
    this.#connection = null;
    this.#connected.set(0);
    this.#closeReception();
    if (clock.monotonicMs() - this.#openedMs >= STABLE_MS) this.#attempt = 0;
    this.#failed(error);
  }

  #failed(error: OmegaError): void {
    if (this.#stopped) return;
    const { log, clock, random, address } = this.#options;
    this.#ends.add(1, { reason: error.reason });
    const delayMs = backoffDelayMs(BACKOFF, this.#attempt, random);
    const { reason, message } = error;
    log.warn("broker.lost", { broker: address.name, reason, message, retryMs: delayMs });
    this.#attempt += 1;
    this.#retry = clock.after(delayMs, () => {
      this.#connect().catch((thrown: unknown) => this.#failed(asOmegaError(thrown)));
    });
  }

  #closeReception(): void {
    this.#reception?.close();
    this.#reception = null;
  }
}

function asOmegaError(thrown: unknown): OmegaError {
  if (thrown instanceof OmegaError) return thrown;
  return new TransportError("broker.failed", messageOf(thrown), { cause: thrown });
}
