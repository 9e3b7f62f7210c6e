/**
 * The client end of one assertion: it sends what it is told, byte for byte, and keeps what it hears.
 * @module
 */
import { generate } from "mqtt-packet";
import {
  type Login,
  PACKET,
  PacketReader,
  type Publish,
  pubackPacket,
  type ReadPacket,
  readPublish,
} from "../load/packets.ts";
import type { Opener, Wire } from "../load/wire.ts";
import { ConformanceFault } from "./fault.ts";

/** Longer than any answer takes on a server that is well, network included; milliseconds. */
const PATIENCE_MS = 5_000;

/** Fields of a CONNECT that an assertion bends. */
export interface ConnectFields extends Partial<Login> {
  readonly clean?: boolean;
  readonly will?: { readonly topic: string; readonly payload: Buffer };
}

export class Peer {
  readonly #wire: Wire;
  readonly #heard: ReadPacket[] = [];
  readonly #reader = new PacketReader();
  readonly #opened: Promise<void>;
  #isClosed = false;
  #look: () => void = () => {};

  constructor(opener: Opener) {
    let open: () => void = () => {};
    let fail: (error: Error) => void = () => {};
    this.#opened = new Promise((resolve, reject) => {
      open = resolve;
      fail = reject;
    });
    // Whoever waits for it hears of it; nobody else must.
    this.#opened.catch(() => {});
    this.#wire = opener.open(0, {
      opened: open,
      data: (chunk) => {
        this.#reader.push(chunk, (packet) => this.#hear(packet));
        this.#look();
      },
      closed: () => {
        this.#isClosed = true;
        fail(new ConformanceFault("the connection could not be opened, or was closed at once"));
        this.#look();
      },
    });
  }

  /** Keeps it, and acknowledges a QoS 1 message: the next one comes after that. */
  #hear(packet: ReadPacket): void {
    this.#heard.push(packet);
    const message = packet.type === PACKET.publish ? readPublish(packet) : null;
    if (message?.qos === 1) this.#wire.write(pubackPacket(message.messageId));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Packets heard so far of a type (MQTT 3.1.1 §2.2.1). */
  heard(type: number): readonly ReadPacket[] {
    return this.#heard.filter((packet) => packet.type === type);
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    await this.#opened;
    this.#wire.write(Buffer.concat(parts));
  }

  /** One byte at a time, each in a write of its own. */
  async dribble(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += 1) {
      await this.send(bytes.subarray(at, at + 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The `count`-th packet of `type`. Throws `ConformanceFault` when it does not come, or the socket closes. */
  async next(type: number, what: string, count = 1): Promise<ReadPacket> {
    await this.#until(() => this.heard(type).length >= count || this.#isClosed);
    const packet = this.heard(type)[count - 1];
    if (packet !== undefined) return packet;
    const why = this.#isClosed ? "the connection was closed" : `nothing came in ${PATIENCE_MS} ms`;
    throw new ConformanceFault(`expected ${what}: ${why}`);
  }

  /** The return code of the CONNACK (§3.2.2.3). */
  async connack(): Promise<number> {
    const { body } = await this.next(PACKET.connack, "a CONNACK");
    return body[1] ?? -1;
  }

  /** The packet identifiers acknowledged so far, in the order heard. */
  pubacks(): number[] {
    return this.heard(PACKET.puback).map(({ body }) => body.readUInt16BE(0));
  }

  /** The messages heard so far. */
  messages(): Publish[] {
    return this.heard(PACKET.publish).flatMap((packet) => readPublish(packet) ?? []);
  }

  /** Waits for a message that `wanted` accepts; null when none comes within `patienceMs`. */
  async message(
    wanted: (message: Publish) => boolean,
    patienceMs = PATIENCE_MS,
  ): Promise<Publish | null> {
    await this.#until(() => this.messages().some(wanted) || this.#isClosed, patienceMs);
    return this.messages().find(wanted) ?? null;
  }

  /** Throws `ConformanceFault` unless the server closes the connection, within `patienceMs`. */
  async closed(why: string, patienceMs = PATIENCE_MS): Promise<void> {
    await this.#until(() => this.#isClosed, patienceMs);
    if (!this.#isClosed) throw new ConformanceFault(`the connection stays open after ${why}`);
  }

  end(): void {
    this.#wire.destroy();
  }

  #until(check: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      this.#look = () => {
        if (!check()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#look();
    });
  }
}

/** A CONNECT with the fields of `login`, bent. */
export function connectBytes(login: Login, fields: ConnectFields = {}): Buffer {
  const { clientId, username, password, keepaliveS, clean = true, will } = { ...login, ...fields };
  return generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    keepalive: keepaliveS,
    ...{ clientId, clean, username },
    ...(password === null ? {} : { password: Buffer.from(password) }),
    ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
  });
}
