/**
 * One MQTT connection, from CONNECT to its end, over mqtt.js.
 *
 * mqtt.js keeps the protocol; it is given nothing to keep beyond that. Its
 * reconnecting, its stores and its replay are off (publishes made during its
 * replay are lost on disconnect): the outbox above is the only memory, and a
 * connection that ends is thrown away whole.
 * @module
 */
import { Socket } from "node:net";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import {
  type Clock,
  type DeviceKey,
  messageOf,
  NetworkError,
  OmegaError,
  TimeoutError,
  TransportError,
} from "../src/core/index.ts";
import { codecTopicOf, parseCodecTopic, parseTopic, topicOf } from "../src/wire/index.ts";

export interface TlsOptions {
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string | Uint8Array;
  /** PEM of the client certificate and its key. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** Name to verify and to send as SNI, when the URL holds an address. */
  readonly servername?: string;
}

export interface LinkOptions {
  readonly url: string;
  readonly key: DeviceKey;
  readonly username: string;
  readonly password: string | undefined;
  readonly tls: TlsOptions | undefined;
  readonly keepaliveS: number;
  /** For a server's TCP connection, and again for SUBACK. */
  readonly connectTimeoutMs: number;
  /** From the beginning to CONNACK: a server that many come back to at once lets them in one by one. */
  readonly loginTimeoutMs: number;
  /**
   * The pull to publish after CONNACK and before the SUBSCRIBE, so that the gateway knows what this
   * device holds and reads before it answers; null for none.
   */
  readonly greeting: () => Uint8Array | null;
  readonly clock: Clock;
  /** Aborting ends an attempt to connect at once. */
  readonly signal: AbortSignal;
}

/** The topics that messages come on: the device's own two, and a codec model's. */
export type MessageLine = "down" | "err" | "model";

export interface LinkHandlers {
  /** One message, in order; the next one, and the PUBACK of this one, wait until it resolves. */
  message(line: MessageLine, payload: Uint8Array): Promise<void>;
  /** The connection ended by itself. Called at most once, never after `close` or `abort`. */
  closed(error: OmegaError): void;
}

export interface Link {
  /** Lets messages through; those that came before are delivered first. */
  flow(): void;
  /** Publishes on the up topic with QoS 1. Resolves on PUBACK; never settles when the link ends first. */
  publish(payload: Uint8Array): Promise<void>;
  /** Asks for a codec model of the tenant; it comes as a message, or nothing does. */
  fetchModel(version: number): void;
  /** DISCONNECT, then the socket; bounded. */
  close(): Promise<void>;
  /** Cuts the socket. */
  abort(): void;
}

/** Connects and subscribes to down and err. Rejects with a typed error, leaving no socket behind. */
export type OpenLink = (options: LinkOptions, handlers: LinkHandlers) => Promise<Link>;

const CLOSE_MS_MAX = 1_000;
// CONNACK return codes of MQTT 3.1.1 §3.2.2.3.
const UNAVAILABLE = 3;
const BAD_CREDENTIALS = 4;
const NOT_AUTHORIZED = 5;

export const openMqttLink: OpenLink = async (options, handlers) => {
  const client = connect(options.url, clientOptions(options));
  const link = new MqttLink(client, options, handlers);
  const onAbort = () => client.end(true);
  options.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await link.opened();
    options.signal.throwIfAborted();
  } catch (error) {
    link.abort();
    throw error;
  } finally {
    options.signal.removeEventListener("abort", onAbort);
  }
  return link;
};

function clientOptions(options: LinkOptions): IClientOptions {
  const { key, username, password, tls, keepaliveS, loginTimeoutMs } = options;
  const pem = (value: string | Uint8Array) =>
    typeof value === "string" ? value : Buffer.from(value);
  return {
    protocolVersion: 4,
    clientId: key.device,
    username,
    ...(password === undefined ? {} : { password }),
    clean: true,
    keepalive: keepaliveS,
    // Ours comes first and says what was missing; mqtt.js has one of its own that cannot be left out.
    connectTimeout: 2 * loginTimeoutMs,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...(tls?.ca === undefined ? {} : { ca: pem(tls.ca) }),
    ...(tls?.cert === undefined ? {} : { cert: pem(tls.cert) }),
    ...(tls?.key === undefined ? {} : { key: pem(tls.key) }),
    ...(tls?.servername === undefined ? {} : { servername: tls.servername }),
  };
}

class MqttLink implements Link {
  readonly #client: MqttClient;
  readonly #options: LinkOptions;
  readonly #handlers: LinkHandlers;
  #flowing = false;
  #ended = false;
  #opened = false;
  #early: { line: MessageLine; payload: Uint8Array }[] = [];
  #lastError: unknown;
  /** The delivery that later messages wait for. */
  #delivered: Promise<void> = Promise.resolve();

  constructor(client: MqttClient, options: LinkOptions, handlers: LinkHandlers) {
    this.#client = client;
    this.#options = options;
    this.#handlers = handlers;
    client.on("error", (error) => {
      this.#lastError = error;
    });
    client.on("close", () => this.#onClose());
    // mqtt.js sends the PUBACK when this callback runs, and reads no further packet before.
    client.handleMessage = (packet, callback) => {
      const payload =
        typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
      this.#receive(packet.topic, payload).then(
        () => callback(),
        () => callback(),
      );
    };
  }

  /** Resolves once CONNACK and SUBACK are in. */
  async opened(): Promise<void> {
    const { key, connectTimeoutMs, loginTimeoutMs } = this.#options;
    await Promise.all([
      this.#bounded("TCP connection", connectTimeoutMs, (resolve) => this.#onTcp(resolve)),
      this.#bounded("CONNACK", loginTimeoutMs, (resolve) => this.#client.once("connect", resolve)),
    ]);
    const greeting = this.#options.greeting();
    if (greeting !== null) void this.publish(greeting);
    const topics = [topicOf(key, "down"), topicOf(key, "err")];
    await this.#bounded("SUBACK", connectTimeoutMs, (resolve, reject) => {
      this.#client.subscribe(topics, { qos: 1 }, (error) => {
        if (error)
          reject(new TransportError("connect.suback", `SUBSCRIBE refused: ${messageOf(error)}`));
        else resolve();
      });
    });
    this.#opened = true;
  }

  /** A WebSocket does not show its TCP connection; it has until CONNACK. */
  #onTcp(connected: () => void): void {
    const { stream } = this.#client;
    if (stream instanceof Socket && stream.connecting) stream.once("connect", connected);
    else connected();
  }

  #bounded(
    step: string,
    withinMs: number,
    begin: (resolve: () => void, reject: (error: OmegaError) => void) => void,
  ): Promise<void> {
    const { clock, url } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        timer.cancel();
        this.#client.removeListener("close", onClose);
        act();
      };
      const onClose = () => settle(() => reject(this.#failure()));
      const timer = clock.after(withinMs, () => {
        const message = `${url}: no ${step} within ${withinMs} ms`;
        settle(() => reject(new TimeoutError("connect.timeout", message)));
      });
      this.#client.on("close", onClose);
      begin(
        () => settle(resolve),
        (error) => settle(() => reject(error)),
      );
    });
  }

  async #receive(topic: string, payload: Uint8Array): Promise<void> {
    const line = this.#lineOf(topic);
    if (line === null) return;
    // The topic has no other message, and a gateway grants few of its kind.
    if (line === "model") this.#client.unsubscribe(topic);
    if (this.#flowing) {
      await this.#deliver(line, payload);
      return;
    }
    // A server may send retained messages before its SUBACK (§3.8.4); waiting for it here would
    // hold back the very SUBACK that is waited for.
    this.#early.push({ line, payload });
  }

  #lineOf(topic: string): MessageLine | null {
    if (parseCodecTopic(topic)?.tenant === this.#options.key.tenant) return "model";
    const parsed = parseTopic(topic);
    return parsed === null || parsed.direction === "up" ? null : parsed.direction;
  }

  #deliver(line: MessageLine, payload: Uint8Array): Promise<void> {
    const after = this.#delivered.then(async () => {
      if (!this.#ended) await this.#handlers.message(line, payload);
    });
    this.#delivered = after.catch(() => {});
    return after;
  }

  flow(): void {
    this.#flowing = true;
    const early = this.#early;
    this.#early = [];
    for (const { line, payload } of early) {
      this.#deliver(line, payload).catch(() => {});
    }
  }

  publish(payload: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      this.#client.publish(topicOf(this.#options.key, "up"), buffer, { qos: 1 }, (error) => {
        // MQTT 3.1.1 has no refusing PUBACK: an error here means that the link is ending.
        if (!error) resolve();
      });
    });
  }

  fetchModel(version: number): void {
    const topic = codecTopicOf({ tenant: this.#options.key.tenant, version });
    // A refused SUBSCRIBE is a model that does not come; whoever waits for it has a deadline.
    this.#client.subscribe(topic, { qos: 1 }, () => {});
  }

  close(): Promise<void> {
    this.#ended = true;
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        resolve();
      };
      const timer = this.#options.clock.after(CLOSE_MS_MAX, () => this.#client.end(true, {}, done));
      this.#client.end(false, {}, done);
    });
  }

  abort(): void {
    this.#ended = true;
    this.#client.end(true);
  }

  #onClose(): void {
    if (this.#ended || !this.#opened) return;
    this.#ended = true;
    const failure = this.#failure();
    this.#client.end(true);
    this.#handlers.closed(failure);
  }

  #failure(): OmegaError {
    const { url } = this.#options;
    const error = this.#lastError;
    if (error instanceof OmegaError) return error;
    const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
    const detail = { url, code };
    switch (code) {
      case UNAVAILABLE:
        return new TransportError("connect.busy", `${url} is busy (CONNACK 3)`, { detail });
      case BAD_CREDENTIALS:
      case NOT_AUTHORIZED:
        return new TransportError(
          "connect.credentials",
          `${url} refused the credentials (CONNACK ${code})`,
          { detail },
        );
      default:
        return new NetworkError(
          "connection.closed",
          `${url}: ${error === undefined ? "connection closed" : messageOf(error)}`,
          {
            detail,
            ...(error === undefined ? {} : { cause: error }),
          },
        );
    }
  }
}
