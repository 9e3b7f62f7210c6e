/**
 * The little MQTT 3.1.1 a light device speaks.
 *
 * Packets are written by mqtt-packet. They are read here, because a parser
 * object for each of tens of thousands of devices would be most of their
 * memory; what is read comes from the server under test.
 * @module
 */
import { generate } from "mqtt-packet";
import { limits } from "../../core/index.ts";

/** Control packet types, MQTT 3.1.1 §2.2.1. */
export const PACKET = { connack: 2, publish: 3, puback: 4, suback: 9, pingresp: 13 } as const;

export interface ReadPacket {
  readonly type: number;
  /** The low four bits of the first byte. */
  readonly flags: number;
  readonly body: Buffer;
}

export interface Publish {
  readonly topic: string;
  readonly qos: number;
  readonly messageId: number;
  readonly payload: Buffer;
}

export const PINGREQ = Buffer.of(0xc0, 0);
export const DISCONNECT = Buffer.of(0xe0, 0);

/** The largest message a gateway sends, with room for its topic. */
const BODY_BYTES_MAX = limits.MODEL_FRAME_BYTES_MAX + 1_024;

export interface Login {
  readonly clientId: string;
  readonly username: string;
  readonly password: string | null;
  readonly keepaliveS: number;
}

export function connectPacket({ clientId, username, password, keepaliveS }: Login): Buffer {
  return generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveS,
    ...{ clientId, username },
    ...(password === null ? {} : { password: Buffer.from(password) }),
  });
}

export function subscribePacket(messageId: number, topics: readonly string[]): Buffer {
  const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
  return generate({ cmd: "subscribe", messageId, subscriptions });
}

export function publishPacket(messageId: number, topic: string, payload: Uint8Array): Buffer {
  return generate({
    ...{ cmd: "publish", qos: 1, dup: false, retain: false, topic, messageId },
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.length),
  });
}

export function pubackPacket(messageId: number): Buffer {
  return Buffer.of(0x40, 2, messageId >> 8, messageId & 0xff);
}

/** A PUBLISH; null when its bytes are none. */
export function readPublish({ flags, body }: ReadPacket): Publish | null {
  const qos = (flags >> 1) & 3;
  if (body.length < 2) return null;
  const topicEnd = 2 + body.readUInt16BE(0);
  const payloadStart = topicEnd + (qos > 0 ? 2 : 0);
  if (body.length < payloadStart) return null;
  return {
    topic: body.toString("utf8", 2, topicEnd),
    qos,
    messageId: qos > 0 ? body.readUInt16BE(topicEnd) : 0,
    payload: body.subarray(payloadStart),
  };
}

/** Cuts one connection's bytes into packets, wherever its chunks end. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Gives each complete packet to `take`; false when the bytes are no MQTT. */
  push(chunk: Buffer, take: (packet: ReadPacket) => void): boolean {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const head = readHead(bytes, at);
      if (head === "invalid") return false;
      if (head === "incomplete" || head.end > bytes.length) break;
      const first = bytes[at] as number;
      take({ type: first >> 4, flags: first & 15, body: bytes.subarray(head.start, head.end) });
      at = head.end;
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
    return true;
  }
}

/** The fixed header at `at`: where the body starts and ends (§2.2.3). */
function readHead(
  bytes: Buffer,
  at: number,
): { readonly start: number; readonly end: number } | "incomplete" | "invalid" {
  let length = 0;
  for (let digit = 0; digit < 4; digit += 1) {
    const byte = bytes[at + 1 + digit];
    if (byte === undefined) return "incomplete";
    length += (byte & 0x7f) * 128 ** digit;
    if (byte < 0x80) {
      const start = at + 2 + digit;
      return length > BODY_BYTES_MAX ? "invalid" : { start, end: start + length };
    }
  }
  return "invalid";
}
