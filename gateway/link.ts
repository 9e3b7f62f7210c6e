/**
 * The wire to one connected device: writes its messages, watches that it takes
 * them, and cuts it when it does not (THREATS 17).
 *
 * Messages go straight to the socket and never through the broker's pub/sub,
 * where one subscriber that stops reading stalls everybody's fan-out. A device is never waited for: a full socket buffer or a message
 * without its PUBACK for too long ends the connection, and the device finds
 * everything again when it returns. What is too long depends on the bytes under
 * way: the rate of the largest down frame in `ackMsMax` is demanded of a codec
 * model too, and of what stands behind one.
 * @module
 */
import type { Client } from "aedes";
import { type Clock, limits as coreLimits, type Timer } from "../src/core/index.ts";
import { codecTopicOf, topicOf } from "../src/wire/index.ts";
import { unsentBytesOf, writePacket } from "./guard.ts";
import { putOffKeepalive } from "./keepalive.ts";
import { publishHead } from "./publish-packet.ts";
import type { Content, Landing, Shipment, Subscriber } from "./subscriber.ts";

export interface LinkLimits {
  /** Unsent bytes a socket may hold before its device is cut. */
  readonly bufferBytesMax: number;
  /**
   * How long a message of up to 64 KiB may wait for its PUBACK (QoS 1) or for the socket to take it
   * (QoS 0).
   */
  readonly ackMsMax: number;
}

/** Beside a model: a release, eight problems in their longest words, and PUBACKs. */
const BESIDE_MODEL_BYTES = coreLimits.DOWN_FRAME_BYTES_MAX + 20 * 1024;

/**
 * How many unsent bytes a socket may hold on which `modelBytes` of a codec model are under way. A
 * model of 384 dimensions fits the usual bound; a larger one lifts it, because its bytes are one
 * buffer for all devices and the gateway itself put them there.
 */
export function unsentBytesMax(bytesMax: number, modelBytes: number): number {
  return modelBytes === 0 ? bytesMax : Math.max(bytesMax, modelBytes + BESIDE_MODEL_BYTES);
}

export type CutReason = "buffer" | "deadline";

export interface LinkOptions {
  readonly client: Client;
  readonly subscriber: Subscriber;
  readonly clock: Clock;
  readonly limits: LinkLimits;
  onCut(link: Link, reason: CutReason): void;
  /** A line became free for which something waits. */
  onFree(link: Link, line: Content["line"]): void;
}

/** One message that the device has not yet taken. */
interface UnderWay {
  readonly bytes: number;
  readonly deadline: Timer;
}

export class Link {
  readonly client: Client;
  readonly subscriber: Subscriber;
  readonly #options: LinkOptions;
  readonly #underWay = new Map<Content["line"], UnderWay>();
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
    const payloadBytes = head.length + body.length;
    const prelude = publishHead({ ...shipment, topic: this.#topicOf(shipment), payloadBytes });
    const { conn } = this.client;
    const waitingBytes = unsentBytesOf(conn) + prelude.length + payloadBytes;
    const modelBytes = line === "model" ? payloadBytes : this.modelBytes;
    if (waitingBytes > unsentBytesMax(this.#options.limits.bufferBytesMax, modelBytes)) {
      this.cut("buffer");
      return;
    }
    const taken =
      shipment.qos === 0 ? () => this.#landed(this.subscriber.flushed(line)) : undefined;
    // A codec model comes whole as `head`, and is as much shared as a body is.
    if (body.length === 0) writePacket(conn, prelude, head, taken);
    else writePacket(conn, Buffer.concat([prelude, head]), body, taken);
    this.#watch(line, payloadBytes);
  }

  /** Bytes of a codec model that the device has not yet taken. */
  get modelBytes(): number {
    return this.#underWay.get("model")?.bytes ?? 0;
  }

  acknowledged(messageId: number): void {
    putOffKeepalive(this.client);
    this.#landed(this.subscriber.acknowledged(messageId));
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
    for (const { deadline } of this.#underWay.values()) deadline.cancel();
    this.#underWay.clear();
  }

  #topicOf({ content }: Shipment): string {
    const { key } = this.subscriber;
    if (content.line !== "model") return topicOf(key, content.line);
    return codecTopicOf({ tenant: key.tenant, version: content.version });
  }

  #landed(landing: Landing | null): void {
    if (this.#closed || landing === null) return;
    this.#underWay.get(landing.line)?.deadline.cancel();
    this.#underWay.delete(landing.line);
    if (landing.waits) this.#options.onFree(this, landing.line);
  }

  #watch(line: Content["line"], bytes: number): void {
    const { clock, limits } = this.#options;
    let bytesAhead = bytes;
    for (const ahead of this.#underWay.values()) bytesAhead += ahead.bytes;
    const waits = Math.max(1, Math.ceil(bytesAhead / coreLimits.DOWN_FRAME_BYTES_MAX));
    const cut = () => this.cut("deadline");
    const deadline = clock.after(waits * limits.ackMsMax, cut, { background: true });
    this.#underWay.set(line, { bytes, deadline });
  }
}
