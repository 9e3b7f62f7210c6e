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
import { unsentBytesOf, writePackets } from "./guard.ts";
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
  onFree(link: Link, line: LineName): void;
}

/** One message, ready to leave. */
export interface Message {
  readonly shipment: Shipment;
  /** The payload's beginning, this device's own. */
  readonly head: Uint8Array;
  /** The rest of it, which may be shared with other devices and be empty. */
  readonly body: Uint8Array;
}

/** What the device has not yet taken of a line. */
interface UnderWay {
  readonly bytes: number;
  readonly deadline: Timer;
}

type LineName = Content["line"];

const LINE_NAMES = ["err", "down", "model"] as const satisfies readonly LineName[];

export class Link {
  readonly client: Client;
  readonly subscriber: Subscriber;
  readonly #options: LinkOptions;
  readonly #underWay: Record<LineName, UnderWay | null> = { err: null, down: null, model: null };
  #closed = false;

  constructor(options: LinkOptions) {
    this.client = options.client;
    this.subscriber = options.subscriber;
    this.#options = options;
  }

  get open(): boolean {
    return !this.#closed && !this.client.closed && !this.client.conn.destroyed;
  }

  /** Writes messages, all at once; those of one line must be of one shipping. */
  send(messages: readonly Message[]): void {
    if (!this.open) return;
    const pieces: Uint8Array[] = [];
    const bytesOn: Record<LineName, number> = { err: 0, down: 0, model: 0 };
    let bytes = 0;
    let taken: (() => void) | undefined;
    for (const { shipment, head, body } of messages) {
      const { line } = shipment.content;
      const start = publishHead(shipment, this.#topicOf(shipment), head, body.length);
      pieces.push(start);
      if (body.length > 0) pieces.push(body);
      bytes += start.length + body.length;
      bytesOn[line] += head.length + body.length;
      if (shipment.qos === 0) taken = () => this.#flushed(messages);
    }
    const { conn } = this.client;
    const modelBytes = bytesOn.model > 0 ? bytesOn.model : this.modelBytes;
    const waitingBytes = unsentBytesOf(conn) + bytes;
    if (waitingBytes > unsentBytesMax(this.#options.limits.bufferBytesMax, modelBytes)) {
      this.cut("buffer");
      return;
    }
    writePackets(conn, pieces, taken);
    for (const line of LINE_NAMES) if (bytesOn[line] > 0) this.#watch(line, bytesOn[line]);
  }

  /** Bytes of a codec model that the device has not yet taken. */
  get modelBytes(): number {
    return this.#underWay.model?.bytes ?? 0;
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
    for (const line of LINE_NAMES) this.#forget(line);
  }

  #forget(line: LineName): void {
    this.#underWay[line]?.deadline.cancel();
    this.#underWay[line] = null;
  }

  #topicOf({ content }: Shipment): string {
    const { key } = this.subscriber;
    if (content.line !== "model") return topicOf(key, content.line);
    return codecTopicOf({ tenant: key.tenant, version: content.version });
  }

  #flushed(messages: readonly Message[]): void {
    for (const { shipment } of messages) {
      if (shipment.qos === 0) this.#landed(this.subscriber.flushed(shipment.content.line));
    }
  }

  #landed(landing: Landing | null): void {
    if (this.#closed || landing === null) return;
    this.#forget(landing.line);
    if (landing.waits) this.#options.onFree(this, landing.line);
  }

  #watch(line: LineName, bytes: number): void {
    const { clock, limits } = this.#options;
    const { err, down, model } = this.#underWay;
    const bytesAhead = bytes + (err?.bytes ?? 0) + (down?.bytes ?? 0) + (model?.bytes ?? 0);
    const waits = Math.max(1, Math.ceil(bytesAhead / coreLimits.DOWN_FRAME_BYTES_MAX));
    const cut = () => this.cut("deadline");
    const deadline = clock.after(waits * limits.ackMsMax, cut, { background: true });
    this.#underWay[line] = { bytes, deadline };
  }
}
