/**
 * Cutting a byte stream into MQTT packets, each bounded and checked before the
 * broker sees a byte of it.
 *
 *   0       1..4               then
 *   type    Remaining Length   variable header and payload
 *
 * aedes and mqtt-packet buffer whatever length a peer declares (12 sockets
 * took 3.1 GB), read strings past the end of their packet, acknowledge packet
 * identifier 0 and spend 4 s on a SUBSCRIBE of 2,000 filters. So this stage
 * releases whole packets only, of types a device may send, within the size of
 * the moment (THREATS 12, 15), whose lengths add up. What the fields *mean* is
 * judged later, by connect.ts and acl.ts.
 *
 * Phases: `connect` (exactly one CONNECT may pass) → `waiting` (nothing passes
 * until the CONNECT is accepted) → `open`. From then on deltas with nothing
 * before them leave by their own lane (up-lane.ts).
 * @module
 */
import { isUtf8 } from "node:buffer";
import { assert, limits, ProtocolError } from "../src/core/index.ts";
import { FILTERS_PER_PACKET_MAX, PACKETS_PER_TURN_MAX } from "./limits.ts";
import { remainingLengthAt } from "./remaining-length.ts";
import { takeDelta, type UpLane } from "./up-lane.ts";

type Phase = "connect" | "waiting" | "open";

/** Packet types a 3.1.1 device may send (§2.2.1); QoS 2 is not offered, so its packets never come. */
const TYPE = {
  connect: 1,
  publish: 3,
  puback: 4,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
} as const;

/** Bytes a peer may send ahead of its CONNACK; more than one socket read never waits here. */
const HELD_BYTES_MAX = 128 * 1024;
const PARTIAL_BYTES_START = 64;
const EMPTY = Buffer.alloc(0);

interface FixedHeader {
  readonly type: number;
  readonly flags: number;
  /** Bytes of type byte plus Remaining Length, 2 … 5. */
  readonly headerBytes: number;
  /** Bytes of the whole packet. */
  readonly packetBytes: number;
}

/** The lane as the guard opens it. */
export interface OpenLane extends UpLane {
  /** Whether the broker has read all that was released, and the device may go on sending. */
  readonly isFree: () => boolean;
}

export class PacketFramer {
  #phase: Phase = "connect";
  #partial: Buffer = EMPTY;
  #partialBytes = 0;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ready: Buffer[] = [];
  #lane: OpenLane | null = null;

  /**
   * Takes bytes as they come off the socket, cut anywhere.
   * Throws `ProtocolError` (`packet.*` or `connect.*`) on the first packet that must close it;
   * the framer is of no use afterwards.
   */
  push(chunk: Buffer): void {
    let rest: Buffer = chunk;
    while (rest.length > 0) {
      if (this.#phase === "waiting") {
        this.#hold(rest);
        return;
      }
      rest = this.#partialBytes > 0 ? this.#complete(rest) : this.#cut(rest);
    }
  }

  /** The CONNECT has passed and is not accepted yet: bytes pushed now can only be kept. */
  get waiting(): boolean {
    return this.#phase === "waiting";
  }

  /** Whole packets for one turn, at most `PACKETS_PER_TURN_MAX` of them; `null` when there are none. */
  take(): Buffer | null {
    return this.#ready.shift() ?? null;
  }

  /**
   * After CONNACK 0: lets everything through that came after the CONNECT, deltas by `lane` where there
   * is one. May throw like `push`.
   */
  open(lane: OpenLane | null = null): void {
    assert(this.#phase === "waiting", "a connection opens once, after its CONNECT");
    this.#phase = "open";
    this.#lane = lane;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const chunk of held) this.push(chunk);
  }

  #hold(chunk: Buffer): void {
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > HELD_BYTES_MAX) throw refuse("packet.early", this.#heldBytes);
    this.#held.push(chunk);
  }

  /**
   * Takes the whole packets at the start of `chunk`, without copying: deltas by the lane, and from the
   * first packet that is none on all of them for the broker. Returns the rest.
   */
  #cut(chunk: Buffer): Buffer {
    let start = 0;
    let end = 0;
    for (let count = 0; count < PACKETS_PER_TURN_MAX; count += 1) {
      const header = this.#headerAt(chunk, end);
      if (header === null || end + header.packetBytes > chunk.length) {
        this.#release(chunk.subarray(start, end));
        this.#append(chunk.subarray(end));
        return EMPTY;
      }
      const packet = chunk.subarray(end, end + header.packetBytes);
      const first = start === end;
      end += header.packetBytes;
      if (first && this.#takes(header, packet)) start = end;
      else this.#check(header, packet);
      if (this.#phase === "waiting" || end === chunk.length) break;
    }
    this.#release(chunk.subarray(start, end));
    return chunk.subarray(end);
  }

  /** Whether the lane took the packet. Only with nothing before it that the broker has yet to read. */
  #takes({ type, headerBytes }: FixedHeader, packet: Buffer): boolean {
    const lane = this.#lane;
    if (lane === null || type !== TYPE.publish) return false;
    if (this.#ready.length > 0 || !lane.isFree()) return false;
    return takeDelta(lane, packet, headerBytes);
  }

  /** Adds bytes to the packet that arrives in pieces; returns what lies behind its end. */
  #complete(chunk: Buffer): Buffer {
    const header = this.#headerAt(this.#partial, 0, this.#partialBytes);
    if (header === null) {
      this.#append(chunk.subarray(0, 1));
      this.#releasePartialIfWhole();
      return chunk.subarray(1);
    }
    const missing = header.packetBytes - this.#partialBytes;
    this.#append(chunk.subarray(0, missing));
    this.#releasePartialIfWhole();
    return chunk.subarray(Math.min(missing, chunk.length));
  }

  #releasePartialIfWhole(): void {
    const header = this.#headerAt(this.#partial, 0, this.#partialBytes);
    if (header === null || this.#partialBytes < header.packetBytes) return;
    const packet = this.#partial.subarray(0, this.#partialBytes);
    this.#partial = EMPTY;
    this.#partialBytes = 0;
    if (this.#takes(header, packet)) return;
    this.#check(header, packet);
    this.#release(packet);
  }

  /** Grows by doubling, so that a packet sent byte by byte costs a linear amount of copying. */
  #append(bytes: Buffer): void {
    const needed = this.#partialBytes + bytes.length;
    if (needed > this.#partial.length) {
      const grown = Buffer.allocUnsafe(
        Math.max(PARTIAL_BYTES_START, needed, this.#partial.length * 2),
      );
      this.#partial.copy(grown, 0, 0, this.#partialBytes);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#partialBytes);
    this.#partialBytes = needed;
  }

  #release(packets: Buffer): void {
    if (packets.length > 0) this.#ready.push(packets);
  }

  /** The fixed header at `start` of `bytes`, bounded; `null` while it is incomplete. */
  #headerAt(bytes: Buffer, start: number, end = bytes.length): FixedHeader | null {
    if (start >= end) return null;
    const first = bytes[start] ?? 0;
    const type = first >> 4;
    // [MQTT-3.1.0-1] The first packet is a CONNECT. [MQTT-3.1.0-2] There is no second.
    if (this.#phase === "connect" ? type !== TYPE.connect : !OPEN_TYPES.has(type)) {
      throw refuse("packet.type", type);
    }
    const length = remainingLengthAt(bytes, start + 1, end);
    if (length === "more") return null;
    if (length === "endless") throw refuse("packet.length", type);
    const max =
      this.#phase === "connect" ? limits.PACKET_BYTES_MAX_UNAUTHENTICATED : limits.PACKET_BYTES_MAX;
    if (length.value > max) throw refuse("packet.size", length.value);
    const headerBytes = 1 + length.bytes;
    return { type, flags: first & 0x0f, headerBytes, packetBytes: headerBytes + length.value };
  }

  #check(header: FixedHeader, packet: Buffer): void {
    const body = packet.subarray(header.headerBytes);
    if (header.type === TYPE.connect) {
      checkProtocol(body);
      this.#phase = "waiting";
    } else {
      checkBody(header, body);
    }
  }
}

const OPEN_TYPES: ReadonlySet<number> = new Set(
  Object.values(TYPE).filter((type) => type !== TYPE.connect),
);

const refuse = (reason: string, value: number): ProtocolError =>
  new ProtocolError(reason, `a device may not send this packet: ${reason} ${value}`, {
    detail: { value },
  });

/**
 * [MQTT-3.1.2-1] [MQTT-3.1.2-2] Only "MQTT" level 4 passes. Any other level, MQTT 5 included, is
 * `connect.protocol`, which is answered with CONNACK 1 before the socket closes.
 */
function checkProtocol(body: Buffer): void {
  const nameBytes = body.length >= 2 ? body.readUInt16BE(0) : 0;
  const name = body.toString("latin1", 2, 2 + nameBytes);
  const level = body[2 + nameBytes];
  if ((name !== "MQTT" && name !== "MQIsdp") || level === undefined) {
    throw refuse("connect.malformed", nameBytes);
  }
  if (name !== "MQTT" || level !== 4) throw refuse("connect.protocol", level);
}

function checkBody(header: FixedHeader, body: Buffer): void {
  switch (header.type) {
    case TYPE.publish: {
      // [MQTT-2.3.1-1] QoS > 0 carries a non-zero identifier; [MQTT-3.3.1-4] QoS 3 does not exist.
      const qos = (header.flags >> 1) & 0x03;
      if (qos === 3) throw refuse("packet.flags", header.flags);
      const topicEnd = stringEnd(body, 0);
      if (qos > 0) checkIdentifier(body, topicEnd);
      return;
    }
    case TYPE.subscribe:
      checkFilters(header, body, 1);
      return;
    case TYPE.unsubscribe:
      checkFilters(header, body, 0);
      return;
    case TYPE.puback:
      checkIdentifier(body, 0);
      if (header.flags !== 0 || body.length !== 2) throw refuse("packet.malformed", body.length);
      return;
    default:
      // PINGREQ and DISCONNECT are two bytes long.
      if (header.flags !== 0 || body.length !== 0) throw refuse("packet.malformed", body.length);
  }
}

/** [MQTT-3.8.3-3] [MQTT-3.10.3-2] At least one filter; THREATS 15: at most eight. */
function checkFilters(header: FixedHeader, body: Buffer, optionBytes: number): void {
  // [MQTT-3.8.1-1] [MQTT-3.10.1-1] The reserved flags are 0010.
  if (header.flags !== 0x02) throw refuse("packet.flags", header.flags);
  checkIdentifier(body, 0);
  let offset = 2;
  let count = 0;
  while (offset < body.length) {
    count += 1;
    if (count > FILTERS_PER_PACKET_MAX) throw refuse("packet.filters", count);
    offset = stringEnd(body, offset) + optionBytes;
  }
  if (count === 0 || offset !== body.length) throw refuse("packet.malformed", body.length);
}

function checkIdentifier(body: Buffer, offset: number): void {
  if (offset + 2 > body.length) throw refuse("packet.malformed", body.length);
  if (body.readUInt16BE(offset) === 0) throw refuse("packet.identifier", 0);
}

/** The end of the UTF-8 string at `offset`. [MQTT-1.5.3-1] [MQTT-1.5.3-2] Ill-formed or NUL closes. */
function stringEnd(body: Buffer, offset: number): number {
  if (offset + 2 > body.length) throw refuse("packet.malformed", body.length);
  const end = offset + 2 + body.readUInt16BE(offset);
  if (end > body.length) throw refuse("packet.malformed", end);
  const text = body.subarray(offset + 2, end);
  if (text.includes(0) || !isUtf8(text)) throw refuse("packet.utf8", text.length);
  return end;
}
