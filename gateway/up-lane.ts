/**
 * The deltas' own lane: a whole QoS 1 PUBLISH on the device's up topic goes from
 * the socket to the ingest, past aedes.
 *
 * For a delta aedes' stream, parser and packet objects cost more than all we do
 * with it, and decide nothing. Everything else still goes through aedes, such a
 * PUBLISH too wherever it stands behind a packet that aedes has not read yet,
 * so the lane never changes an order. What it does not recognise it leaves: the
 * one place that refuses a PUBLISH is acl.ts.
 * @module
 */

/** Where deltas of one accepted client go. */
export interface UpLane {
  /** The topic that the client may publish on, ASCII. */
  readonly topic: Buffer;
  /** Takes one delta: `packetId` 1 … 65535, `frame` a view. Throws `ProtocolError("publish.flood")`. */
  readonly take: (packetId: number, frame: Buffer) => void;
}

/** Fixed header: PUBLISH, QoS 1, no RETAIN; DUP says nothing, because deltas are deduplicated later. */
const DELTA = 0x32;
const DUP = 0x08;
const LENGTH_BYTES = 2;
const IDENTIFIER_BYTES = 2;

/**
 * Takes `packet`, whole and `headerBytes` of fixed header long, when it is for the lane (MQTT 3.1.1
 * §3.3); false leaves it to the broker. Throws as `UpLane.take` does.
 */
export function takeDelta(lane: UpLane, packet: Buffer, headerBytes: number): boolean {
  if (((packet[0] ?? 0) & ~DUP) !== DELTA) return false;
  const { topic } = lane;
  const topicAt = headerBytes + LENGTH_BYTES;
  const identifierAt = topicAt + topic.length;
  const frameAt = identifierAt + IDENTIFIER_BYTES;
  if (packet.length < frameAt || packet.readUInt16BE(headerBytes) !== topic.length) return false;
  if (packet.compare(topic, 0, topic.length, topicAt, identifierAt) !== 0) return false;
  const packetId = packet.readUInt16BE(identifierAt);
  if (packetId === 0) return false;
  lane.take(packetId, packet.subarray(frameAt));
  return true;
}
