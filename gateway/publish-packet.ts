/**
 * The beginning of an MQTT 3.1.1 PUBLISH packet (section 3.3): all but the shared end of its payload.
 *
 * That end follows by itself, so that the body of a release is one buffer shared by every device
 * that gets it instead of a copy per device.
 * @module
 */
import { assert } from "../src/core/index.ts";

/** What a SUBSCRIBE is granted and a message is sent with. */
export type GrantedQos = 0 | 1;

export interface PublishOptions {
  readonly qos: GrantedQos;
  readonly dup: boolean;
  readonly retain: boolean;
  /** 1..65535 with QoS 1; not written with QoS 0. */
  readonly messageId: number;
}

const PUBLISH = 0x30;
/** [MQTT-2.2.3] a remaining length has at most four bytes of seven bits. */
const REMAINING_LENGTH_MAX = 268_435_455;

/**
 * Fixed header, topic, packet id, and `payload`, the beginning of a payload of which `moreBytes`
 * follow; `topic` must be ASCII, as ours are.
 */
export function publishHead(
  { qos, dup, retain, messageId }: PublishOptions,
  topic: string,
  payload: Uint8Array,
  moreBytes: number,
): Buffer {
  const remaining = 2 + topic.length + (qos === 1 ? 2 : 0) + payload.length + moreBytes;
  assert(remaining <= REMAINING_LENGTH_MAX, "a packet's length fits in four bytes");
  assert(qos === 0 || messageId > 0, "[MQTT-2.3.1-1] QoS 1 has a packet id");
  const lengthBytes = varint(remaining);
  const bytes = Buffer.allocUnsafe(1 + lengthBytes.length + remaining - moreBytes);
  bytes[0] = PUBLISH | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  bytes.set(lengthBytes, 1);
  let at = 1 + lengthBytes.length;
  at = bytes.writeUInt16BE(topic.length, at);
  at += bytes.write(topic, at, "latin1");
  if (qos === 1) at = bytes.writeUInt16BE(messageId, at);
  assert(at + payload.length === bytes.length, "a topic is ASCII");
  bytes.set(payload, at);
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
