/**
 * The head of an MQTT 3.1.1 PUBLISH packet (section 3.3), without its payload.
 *
 * The payload follows as separate writes, so that the body of a release is one
 * buffer shared by every device that gets it instead of a copy per device.
 * @module
 */
import { assert } from "../src/core/index.ts";

/** What a SUBSCRIBE is granted and a message is sent with. */
export type GrantedQos = 0 | 1;

export interface PublishHead {
  readonly topic: string;
  readonly qos: GrantedQos;
  readonly dup: boolean;
  readonly retain: boolean;
  /** 1..65535 with QoS 1; not written with QoS 0. */
  readonly messageId: number;
  /** How many bytes of payload will follow. */
  readonly payloadBytes: number;
}

const PUBLISH = 0x30;
/** [MQTT-2.2.3] a remaining length has at most four bytes of seven bits. */
const REMAINING_LENGTH_MAX = 268_435_455;

/** Fixed header, topic and packet id; `topic` must be ASCII, as ours are. */
export function publishHead(head: PublishHead): Buffer {
  const remaining = 2 + head.topic.length + (head.qos === 1 ? 2 : 0) + head.payloadBytes;
  assert(remaining <= REMAINING_LENGTH_MAX, "a packet's length fits in four bytes");
  assert(head.qos === 0 || head.messageId > 0, "[MQTT-2.3.1-1] QoS 1 has a packet id");
  const lengthBytes = varint(remaining);
  const bytes = Buffer.alloc(1 + lengthBytes.length + remaining - head.payloadBytes);
  bytes[0] = PUBLISH | (head.dup ? 8 : 0) | (head.qos << 1) | (head.retain ? 1 : 0);
  bytes.set(lengthBytes, 1);
  let at = 1 + lengthBytes.length;
  at = bytes.writeUInt16BE(head.topic.length, at);
  at += bytes.write(head.topic, at, "latin1");
  if (head.qos === 1) at = bytes.writeUInt16BE(head.messageId, at);
  assert(at === bytes.length, "a topic is ASCII");
  return bytes;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}
