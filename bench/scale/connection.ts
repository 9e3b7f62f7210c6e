/**
 * The device end of one connection: bytes on a socket, and a count of what came back.
 * @module
 */
import { connect, type Socket } from "node:net";
import { type DeviceKey, deviceName } from "../../src/core/index.ts";
import { connectPacket, DISCONNECT, publishPacket } from "../../src/fleet/load/packets.ts";
import { topicOf } from "../../src/wire/index.ts";

const KEEPALIVE_S = 3_600;
const PACKET_ID_MAX = 65_535;
const CONNACK = 0x20;
const PUBACK = 0x40;
/** CONNACK and PUBACK, the only packets that come to one who does not subscribe. */
const PACKET_BYTES = 4;
/** All connections read into the same bytes: what is read is counted at once, and gone. */
const READ_BUFFER = Buffer.alloc(4_096);

export class Connection {
  readonly #socket: Socket;
  readonly #topic: string;
  readonly #onAck: () => void;
  readonly #rest: number[] = [];
  #greeted: () => void = () => {};
  #packetId = 0;

  /** `onAck` is called for each PUBACK. A connection that ends by itself ends the process. */
  constructor(port: number, key: DeviceKey, onAck: () => void) {
    this.#topic = topicOf(key, "up");
    this.#onAck = onAck;
    const callback = (length: number, bytes: Uint8Array) => {
      for (let at = 0; at < length; at += 1) this.#take(bytes[at] as number);
      return true;
    };
    this.#socket = connect({
      ...{ port, host: "127.0.0.1", noDelay: true },
      onread: { buffer: READ_BUFFER, callback },
    });
    this.#socket.once("close", () => {
      throw new Error(`the gateway closed the connection of ${deviceName(key)}`);
    });
    const names = { clientId: key.device, username: deviceName(key) };
    this.#socket.write(connectPacket({ ...names, password: null, keepaliveS: KEEPALIVE_S }));
  }

  /** Resolves with the CONNACK. */
  greeted(): Promise<void> {
    return new Promise((resolve) => {
      this.#greeted = resolve;
    });
  }

  publish(frame: Uint8Array): void {
    this.#packetId = (this.#packetId % PACKET_ID_MAX) + 1;
    this.#socket.write(publishPacket(this.#packetId, this.#topic, frame));
  }

  leave(): void {
    this.#socket.removeAllListeners("close").end(DISCONNECT);
  }

  #take(byte: number): void {
    this.#rest.push(byte);
    if (this.#rest.length < PACKET_BYTES) return;
    const [type, , , last] = this.#rest.splice(0);
    if (type === PUBACK) this.#onAck();
    else if (type === CONNACK && last === 0) this.#greeted();
    else throw new Error(`the gateway answered with a packet of type ${type}, ${last}`);
  }
}
