/**
 * Our own QoS 1 messages on one connection: in order, few at a time, each
 * resolved by its PUBACK.
 *
 * The broker's Receive Maximum is kept, and the socket's buffer is let run dry
 * in between, so that a broker that reads slowly costs a bounded amount of
 * memory and PUBACKs of deltas never stand behind megabytes of releases.
 * @module
 */
import type { Socket } from "node:net";
import mqttPacket from "mqtt-packet";
import { type OmegaError, TransportError } from "../../src/core/index.ts";

export interface Outgoing {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** How long the broker keeps it, seconds; for ever when absent. */
  readonly expiryS?: number;
}

interface Entry {
  readonly message: Outgoing;
  readonly resolve: () => void;
  readonly reject: (error: OmegaError) => void;
}

/** Messages without a PUBACK at once, whatever more the broker would take. */
const IN_FLIGHT_MAX = 64;
const UNSENT_BYTES_MAX = 64 * 1024;
const PACKET_ID_MAX = 65_535;
/** PUBACK reason codes from here on are failures (MQTT 5, 2.4). */
const FAILURE_FROM = 0x80;
/** What a PUBLISH has beside topic and payload, at most. */
const PACKET_OVERHEAD_BYTES = 32;

export interface OutboxOptions {
  readonly socket: Socket;
  /** The broker's Receive Maximum. */
  readonly receiveMaximum: number;
  /** The broker's Maximum Packet Size, bytes. */
  readonly packetBytesMax: number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Entry[] = [];
  readonly #inFlight = new Map<number, Entry>();
  readonly #inFlightMax: number;
  #lastId = 0;
  #closed: OmegaError | null = null;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#inFlightMax = Math.min(IN_FLIGHT_MAX, options.receiveMaximum);
    options.socket.on("drain", () => this.#advance());
  }

  /**
   * Resolves on PUBACK. Rejects with `TransportError`: `broker.refused` or `broker.packet-size`
   * when the broker will not take this one, else the reason for which the connection ended.
   */
  publish(message: Outgoing): Promise<void> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const { packetBytesMax } = this.#options;
    const bytes = message.payload.length + message.topic.length + PACKET_OVERHEAD_BYTES;
    if (bytes > packetBytesMax) {
      const words = `${message.topic}: a packet of ${bytes} bytes, the broker takes ${packetBytesMax}`;
      return Promise.reject(new TransportError("broker.packet-size", words));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      this.#advance();
    });
  }

  acknowledged(packetId: number, reasonCode: number): void {
    const entry = this.#inFlight.get(packetId);
    if (entry === undefined) return;
    this.#inFlight.delete(packetId);
    if (reasonCode < FAILURE_FROM) entry.resolve();
    else {
      const words = `${entry.message.topic}: the broker refused it with reason ${reasonCode}`;
      entry.reject(new TransportError("broker.refused", words, { detail: { reasonCode } }));
    }
    this.#advance();
  }

  /** The connection is over: what has no PUBACK has none. */
  close(error: OmegaError): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    for (const entry of [...this.#inFlight.values(), ...this.#waiting]) entry.reject(error);
    this.#inFlight.clear();
    this.#waiting.length = 0;
  }

  #advance(): void {
    const { socket } = this.#options;
    while (
      this.#closed === null &&
      this.#inFlight.size < this.#inFlightMax &&
      socket.writableLength < UNSENT_BYTES_MAX
    ) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#send(entry);
    }
  }

  #send(entry: Entry): void {
    const { topic, payload, retain, expiryS } = entry.message;
    const messageId = this.#newId();
    this.#inFlight.set(messageId, entry);
    const properties = expiryS === undefined ? {} : { messageExpiryInterval: expiryS };
    mqttPacket.writeToStream(
      {
        ...{ cmd: "publish", qos: 1, dup: false, retain, topic, messageId, properties },
        payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
      },
      this.#options.socket,
      { protocolVersion: 5 },
    );
  }

  #newId(): number {
    do {
      this.#lastId = (this.#lastId % PACKET_ID_MAX) + 1;
    } while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }
}
