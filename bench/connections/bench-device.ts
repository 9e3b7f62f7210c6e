/**
 * The device end of one connection: raw bytes on a socket and nothing that a measurement does not need.
 * @module
 */
import {
  connectPacket,
  DISCONNECT,
  PACKET,
  PacketReader,
  PINGREQ,
  pubackPacket,
  publishPacket,
  type ReadPacket,
  readPublish,
  subscribePacket,
} from "../../src/fleet/load/packets.ts";
import type { Opener, Wire } from "../../src/fleet/load/wire.ts";
import { encodePull, peekFrame, topicOf } from "../../src/wire/index.ts";

/** What happens to a device, for whoever counts. */
export interface DeviceEvents {
  /** The socket is open, and CONNECT said. */
  opened(): void;
  connack(code: number): void;
  /** The connection is gone without anyone here having asked for it. */
  lost(hadConnack: boolean): void;
  wrong(): void;
  down(payload: Buffer): void;
}

export const TENANT = "default";
const KEEPALIVE_S = 3_600;
const FRAME_BYTES_MAX = 256 * 1024;
const ADDRESSES = 8;
/** `Opener` takes a further source address for each block of so many devices. */
const DEVICES_PER_ADDRESS = 20_000;
const PULL_ID = 1;
const SUBSCRIBE_ID = 2;
const DELTA_ID_FIRST = 3;
const PACKET_ID_MAX = 65_535;

export class BenchDevice {
  readonly index: number;
  readonly #minor: 0 | 1;
  readonly #topics: { readonly up: string; readonly down: string; readonly err: string };
  #wire: Wire | null = null;
  #greeted = false;
  #events: DeviceEvents | null = null;
  #onPong: (() => void) | null = null;
  /** Called with the version that the device holds once a release is complete. */
  onVersion: ((version: number) => void) | null = null;
  /** The newest version whose last part has come; −1 before the first. */
  version = -1;
  #packetId = DELTA_ID_FIRST;
  #inFlight = new Map<number, () => void>();

  constructor(index: number, minor: 0 | 1) {
    this.index = index;
    this.#minor = minor;
    const key = { tenant: TENANT, device: nameOf(index) };
    const [up, down, err] = [topicOf(key, "up"), topicOf(key, "down"), topicOf(key, "err")];
    this.#topics = { up, down, err };
  }

  get isOnline(): boolean {
    return this.#greeted;
  }

  /** Opens a socket and says CONNECT. */
  connect(opener: Opener, events: DeviceEvents): void {
    const reader = new PacketReader();
    this.#events = events;
    this.version = -1;
    const isMine = (act: () => void) => {
      if (this.#events === events) act();
    };
    const place = this.index + DEVICES_PER_ADDRESS * (1 + (this.index % ADDRESSES));
    this.#wire = opener.open(place, {
      opened: () =>
        isMine(() => {
          this.#wire?.write(loginOf(this.index));
          events.opened();
        }),
      data: (chunk) =>
        isMine(() => {
          if (!reader.push(chunk, (packet) => isMine(() => this.#take(packet)))) events.wrong();
        }),
      closed: () =>
        isMine(() => {
          const hadConnack = this.#greeted;
          this.#forget();
          events.lost(hadConnack);
        }),
    });
  }

  /** Says what it holds and reads, and listens to both of its topics. */
  listen(): void {
    const { up, down, err } = this.#topics;
    const pull = encodePull(0, { minor: this.#minor });
    this.#wire?.write(
      Buffer.concat([publishPacket(PULL_ID, up, pull), subscribePacket(SUBSCRIBE_ID, [err, down])]),
    );
  }

  subscribe(): void {
    this.#wire?.write(subscribePacket(SUBSCRIBE_ID, [this.#topics.down]));
  }

  ping(onPong: () => void): void {
    this.#onPong = onPong;
    this.#wire?.write(PINGREQ);
  }

  publish(frame: Uint8Array, onAck: () => void): void {
    this.#packetId = this.#packetId === PACKET_ID_MAX ? DELTA_ID_FIRST : this.#packetId + 1;
    this.#inFlight.set(this.#packetId, onAck);
    this.#wire?.write(publishPacket(this.#packetId, this.#topics.up, frame));
  }

  leave(): void {
    this.#wire?.write(DISCONNECT);
    this.#wire?.end();
    this.#forget();
  }

  /** Breaks the connection without a word. */
  drop(): void {
    this.#wire?.destroy();
    this.#forget();
  }

  #forget(): void {
    this.#events = null;
    this.#wire = null;
    this.#greeted = false;
    this.#inFlight.clear();
  }

  #take(packet: ReadPacket): void {
    switch (packet.type) {
      case PACKET.connack: {
        const code = packet.body[1] ?? -1;
        this.#greeted = code === 0;
        this.#events?.connack(code);
        return;
      }
      case PACKET.puback:
        this.#acked(packet.body.readUInt16BE(0));
        return;
      case PACKET.pingresp:
        this.#onPong?.();
        return;
      case PACKET.suback:
        if (packet.body.subarray(2).includes(0x80)) this.#events?.wrong();
        return;
      case PACKET.publish:
        this.#published(packet);
        return;
      default:
        this.#events?.wrong();
    }
  }

  #acked(id: number): void {
    const onAck = this.#inFlight.get(id);
    this.#inFlight.delete(id);
    if (onAck !== undefined) onAck();
    else if (id >= DELTA_ID_FIRST) this.#events?.wrong();
  }

  #published(packet: ReadPacket): void {
    const message = readPublish(packet);
    if (message === null || message.topic !== this.#topics.down) {
      this.#events?.wrong();
      return;
    }
    if (message.qos > 0) this.#wire?.write(pubackPacket(message.messageId));
    this.#events?.down(message.payload);
    const { header } = peekFrame(message.payload, FRAME_BYTES_MAX);
    if (header.kind !== "snapshot" && header.kind !== "release-delta") return;
    if (header.part !== undefined && header.part.n !== header.part.of) return;
    this.version = header.version;
    this.onVersion?.(header.version);
  }
}

/** The device id of number `index`. */
export function nameOf(index: number): string {
  return `tv-${index}`;
}

function loginOf(index: number): Buffer {
  const device = nameOf(index);
  const username = `${TENANT}/${device}`;
  return connectPacket({ clientId: device, username, password: null, keepaliveS: KEEPALIVE_S });
}
