/**
 * The wire to one connected device: writes its messages, watches that it takes
 * them, and cuts it when it does not (THREATS 17).
 *
 * Messages go straight to the socket and never through the broker's pub/sub,
 * where one subscriber that stops reading stalls everybody's fan-out. A device is never waited for: a full socket buffer or a message
 * without its PUBACK for too long ends the connection, and the device finds
 * everything again when it returns.
 * @module
 */
import type { Client } from "aedes";
import type { Clock, Timer } from "../src/core/index.ts";
import { topicOf } from "../src/wire/index.ts";
import { publishHead } from "./publish-packet.ts";
import type { Shipment, Subscriber } from "./subscriber.ts";

export interface LinkLimits {
  /** Unsent bytes a socket may hold before its device is cut. */
  readonly bufferBytesMax: number;
  /** How long a message may wait for its PUBACK (QoS 1) or for the socket to take it (QoS 0). */
  readonly ackMsMax: number;
}

export type CutReason = "buffer" | "deadline";

export interface LinkOptions {
  readonly client: Client;
  readonly subscriber: Subscriber;
  readonly clock: Clock;
  readonly limits: LinkLimits;
  onCut(link: Link, reason: CutReason): void;
  /** A line became free for which something waits. */
  onFree(link: Link): void;
}

export class Link {
  readonly client: Client;
  readonly subscriber: Subscriber;
  readonly #options: LinkOptions;
  #deadline: Timer | null = null;
  #closed = false;

  constructor(options: LinkOptions) {
    this.client = options.client;
    this.subscriber = options.subscriber;
    this.#options = options;
  }

  get open(): boolean {
    return !this.#closed && !this.client.closed && !this.client.conn.destroyed;
  }

  /** Writes one message: its own `head`, then `body`, which may be shared with other devices. */
  send(shipment: Shipment, head: Uint8Array, body: Uint8Array): void {
    if (!this.open) return;
    const { line } = shipment.content;
    const prelude = publishHead({
      ...shipment,
      topic: topicOf(this.subscriber.key, line),
      payloadBytes: head.length + body.length,
    });
    const { conn } = this.client;
    const waitingBytes = conn.writableLength + prelude.length + head.length + body.length;
    if (waitingBytes > this.#options.limits.bufferBytesMax) {
      this.cut("buffer");
      return;
    }
    const taken = () => {
      if (shipment.qos === 0) this.#settle(this.subscriber.flushed(line));
    };
    conn.cork();
    conn.write(prelude);
    if (body.length === 0) conn.write(head, taken);
    else {
      conn.write(head);
      conn.write(body, taken);
    }
    conn.uncork();
    this.#watch();
  }

  acknowledged(messageId: number): void {
    this.#settle(this.subscriber.acknowledged(messageId));
  }

  /** Ends the connection; the device is told nothing, as MQTT 3.1.1 has no word for it. */
  cut(reason: CutReason): void {
    if (this.#closed) return;
    this.close();
    this.#options.onCut(this, reason);
    this.client.close();
  }

  /** The connection is over: no timer stays. */
  close(): void {
    this.#closed = true;
    this.#deadline?.cancel();
    this.#deadline = null;
  }

  #settle(waits: boolean): void {
    if (this.#closed) return;
    if (!this.subscriber.inFlight) {
      this.#deadline?.cancel();
      this.#deadline = null;
    }
    if (waits) this.#options.onFree(this);
  }

  #watch(): void {
    if (this.#deadline !== null || !this.subscriber.inFlight) return;
    const { clock, limits } = this.#options;
    this.#deadline = clock.after(limits.ackMsMax, () => this.cut("deadline"), { background: true });
  }
}
