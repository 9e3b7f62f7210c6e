/**
 * One MQTT 5 connection to another broker, from the dialling to its end.
 *
 *   dial ─▶ CONNECT (clean start 0) ─▶ CONNACK ─▶ SUBSCRIBE ─▶ SUBACK ─▶ open ─▶ closed, once
 *
 * A raw socket with mqtt-packet rather than mqtt.js: that one reads no further
 * packet before the one at hand has its PUBACK, so a batch could never form.
 * Here a PUBLISH is handed over and nothing is acknowledged; whoever takes it
 * writes the PUBACK to `socket` when the time has come (P1). The session
 * outlives the connection at the broker, and with it what was not acknowledged.
 * @module
 */
import type { Socket } from "node:net";
import mqttPacket, { type IConnackPacket, type IPublishPacket, type Packet } from "mqtt-packet";
import {
  type Clock,
  messageOf,
  NetworkError,
  OmegaError,
  TimeoutError,
  type Timer,
  TransportError,
} from "../../src/core/index.ts";
import { dial, type ForeignAddress } from "./address.ts";
import { Outbox, type Outgoing } from "./outbox.ts";
import { connackRefusal, disconnectError } from "./reasons.ts";

export interface ConnectionOptions {
  readonly address: ForeignAddress;
  readonly clientId: string;
  /** The one filter that is subscribed to, with QoS 1. */
  readonly filter: string;
  /** How long the broker keeps the session after the connection, seconds. */
  readonly sessionExpiryS: number;
  /** PUBLISHes without a PUBACK at once (Receive Maximum). */
  readonly receiveMaximum: number;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
}

export interface ConnectionHandlers {
  /** A PUBLISH of the broker's; its PUBACK, when it has QoS 1, is the taker's to write. */
  publish(packet: IPublishPacket): void;
  /** It ended, by itself or by `cut`; called once. */
  closed(error: OmegaError): void;
}

/** Larger packets the broker must keep to itself; every frame that is one fits. */
const PACKET_BYTES_MAX = 64 * 1024;
const KEEPALIVE_S = 30;
/** A broker that says nothing for this many keepalives is gone. */
const SILENCE_KEEPALIVES = 1.5;
const SUBSCRIBE_ID = 65_535;
const GOODBYE_MS_MAX = 1_000;
const RECEIVE_MAXIMUM_DEFAULT = 65_535;
const MQTT5 = { protocolVersion: 5 } as const;

export class Connection {
  readonly socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  #outbox: Outbox | null = null;
  /** What the handshake waits for next. */
  #awaited: { readonly cmd: string; readonly resolve: (packet: Packet) => void } | null = null;
  #failHandshake: (error: OmegaError) => void = () => {};
  #heartbeat: Timer | null = null;
  #heardMs: number;
  #open = false;
  #leaving = false;
  #ended: OmegaError | null = null;

  private constructor(socket: Socket, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.socket = socket;
    this.#options = options;
    this.#handlers = handlers;
    this.#heardMs = options.clock.monotonicMs();
  }

  /**
   * Resolves when the subscription stands; PUBLISHes may come before. Rejects, with nothing left
   * open, with `NetworkError("broker.unreachable")`, `TransportError("broker.credentials",
   * "broker.connack", "broker.subscribe")` or `TimeoutError("broker.timeout")`.
   */
  static async open(
    options: ConnectionOptions,
    handlers: ConnectionHandlers,
    opening: (connection: Connection) => void,
  ): Promise<Connection> {
    const { socket, opened } = dial(options.address);
    const connection = new Connection(socket, options, handlers);
    opening(connection);
    await connection.#handshake(opened);
    return connection;
  }

  /** See {@link Outbox.publish}. */
  publish(message: Outgoing): Promise<void> {
    if (this.#outbox === null) return Promise.reject(notConnected(this.#options.address));
    return this.#outbox.publish(message);
  }

  /** Ends it at once; nothing more is acknowledged, and the session stays at the broker. */
  cut(error: OmegaError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#heartbeat?.cancel();
    this.socket.destroy();
    this.#outbox?.close(error);
    this.#failHandshake(error);
    if (this.#open) this.#handlers.closed(error);
    this.#open = false;
  }

  /** Gives the subscription up: the broker sends what it holds for us and routes nothing new here. */
  unsubscribe(): void {
    const { filter } = this.#options;
    this.#write({ cmd: "unsubscribe", messageId: SUBSCRIBE_ID, unsubscriptions: [filter] });
  }

  /** DISCONNECT, after all that was written before, then the end; bounded. The session stays. */
  async leave(): Promise<void> {
    if (this.#ended !== null) return;
    this.#leaving = true;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = clock.after(GOODBYE_MS_MAX, resolve);
      this.socket.once("close", () => {
        timer.cancel();
        resolve();
      });
      this.#write({ cmd: "disconnect", reasonCode: 0 });
      this.socket.resume();
      this.socket.end();
    });
    this.cut(new TransportError("broker.left", "this process left the broker"));
  }

  async #handshake(opened: "connect" | "secureConnect"): Promise<void> {
    const { clock, connectTimeoutMs, address, filter } = this.#options;
    const failed = new Promise<never>((_, reject) => {
      this.#failHandshake = reject;
    });
    failed.catch(() => {});
    const timer = clock.after(connectTimeoutMs, () => {
      const words = `${address.name}: no session within ${connectTimeoutMs} ms`;
      this.cut(new TimeoutError("broker.timeout", words));
    });
    this.socket.setNoDelay(true);
    this.socket.on("error", (cause) => this.cut(this.#unreachable(cause)));
    this.socket.on("close", () => this.cut(this.#unreachable(null)));
    try {
      await Promise.race([failed, new Promise<void>((done) => this.socket.once(opened, done))]);
      this.#read();
      const connack = this.#next("connack");
      this.#write(this.#connectPacket());
      this.#welcomed((await Promise.race([failed, connack])) as IConnackPacket);
      const suback = this.#next("suback");
      this.#write({
        cmd: "subscribe",
        messageId: SUBSCRIBE_ID,
        subscriptions: [{ topic: filter, qos: 1 }],
      });
      this.#subscribed(await Promise.race([failed, suback]));
      this.#open = true;
    } catch (error) {
      const known = error instanceof OmegaError ? error : this.#unreachable(error);
      this.cut(known);
      throw known;
    } finally {
      timer.cancel();
    }
  }

  #connectPacket(): Packet {
    const { clientId, address, sessionExpiryS, receiveMaximum } = this.#options;
    const { username, password } = address;
    return {
      ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 5, clean: false, clientId },
      keepalive: KEEPALIVE_S,
      ...(username === null ? {} : { username }),
      ...(password === null ? {} : { password }),
      properties: {
        sessionExpiryInterval: sessionExpiryS,
        receiveMaximum,
        maximumPacketSize: PACKET_BYTES_MAX,
      },
    };
  }

  #welcomed({ reasonCode, returnCode, properties }: IConnackPacket): void {
    const code = reasonCode ?? returnCode ?? 0;
    const refusal = connackRefusal(this.#options.address.name, code, properties?.reasonString);
    if (refusal !== null) throw refusal;
    this.#outbox = new Outbox({
      socket: this.socket,
      receiveMaximum: properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT,
      packetBytesMax: properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    });
    this.#beat(Math.min(KEEPALIVE_S, properties?.serverKeepAlive || KEEPALIVE_S));
  }

  #subscribed(packet: Packet): void {
    const [code] = packet.cmd === "suback" ? packet.granted : [];
    if (code === 1) return;
    const { address, filter } = this.#options;
    throw new TransportError(
      "broker.subscribe",
      `${address.name} answered ${code} to the subscription of ${filter} with QoS 1: it must allow shared subscriptions and let this user read the topic`,
      { detail: { code } },
    );
  }

  #read(): void {
    const parser = mqttPacket.parser(MQTT5);
    parser.on("packet", (packet) => this.#take(packet));
    parser.on("error", (cause: unknown) => {
      const words = `${this.#options.address.name} does not speak MQTT 5: ${messageOf(cause)}`;
      this.cut(new TransportError("broker.protocol", words, { cause }));
    });
    this.socket.on("data", (chunk: Buffer) => {
      this.#heardMs = this.#options.clock.monotonicMs();
      parser.parse(chunk);
    });
  }

  #take(packet: Packet): void {
    // What comes after our goodbye the broker keeps: it has no PUBACK of it.
    if (this.#ended !== null || this.#leaving) return;
    if (packet.cmd === this.#awaited?.cmd) {
      const { resolve } = this.#awaited;
      this.#awaited = null;
      resolve(packet);
      return;
    }
    if (packet.cmd === "publish") this.#handlers.publish(packet);
    else if (packet.cmd === "puback") {
      this.#outbox?.acknowledged(packet.messageId ?? 0, packet.reasonCode ?? 0);
    } else if (packet.cmd === "disconnect") {
      this.cut(disconnectError(this.#options.address.name, packet.reasonCode ?? 0));
    }
  }

  #next(cmd: string): Promise<Packet> {
    return new Promise((resolve) => {
      this.#awaited = { cmd, resolve };
    });
  }

  /** Keepalive: a PING in every half of it, and an end when nothing came for one and a half. */
  #beat(keepaliveS: number): void {
    const { clock, address } = this.#options;
    const everyMs = keepaliveS * 500;
    this.#heartbeat = clock.after(
      everyMs,
      () => {
        const now = clock.monotonicMs();
        // While we do not read we cannot hear.
        if (this.socket.isPaused()) this.#heardMs = now;
        if (now - this.#heardMs > keepaliveS * 1_000 * SILENCE_KEEPALIVES) {
          const words = `${address.name} has been silent for ${now - this.#heardMs} ms`;
          this.cut(new TimeoutError("broker.silent", words));
          return;
        }
        this.#write({ cmd: "pingreq" });
        this.#beat(keepaliveS);
      },
      { background: true },
    );
  }

  #write(packet: Packet): void {
    if (!this.socket.destroyed) mqttPacket.writeToStream(packet, this.socket, MQTT5);
  }

  #unreachable(cause: unknown): NetworkError {
    const { name } = this.#options.address;
    const words = cause === null ? "it closed the connection" : messageOf(cause);
    return new NetworkError(
      "broker.unreachable",
      `${name}: ${words}`,
      cause === null ? {} : { cause },
    );
  }
}

export function notConnected({ name }: ForeignAddress): TransportError {
  return new TransportError("broker.offline", `not connected to ${name}`);
}
