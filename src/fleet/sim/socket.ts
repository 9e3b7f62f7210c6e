/**
 * What a gateway writes to: the few members of a socket that our own code uses.
 *
 * The bytes are read back into packets, so that what travels is what the
 * gateway really wrote, head, shared body and all.
 * @module
 */
import { assert } from "../../core/index.ts";
import type { DownPacket, Wire } from "./wire.ts";

const PUBLISH = 3;
const PUBACK = 4;
const PUBACK_BYTES = 4;
/** What a packet held back by the network counts as in `writableLength`, about. */
const UNSENT_BYTES = 512;

export class SimSocket {
  destroyed = false;
  readonly #wire: Wire;
  readonly #onPuback: (packetId: number) => void;
  readonly #onClose: (() => void)[] = [];
  #corked: Uint8Array[] | null = null;
  #taken: (() => void)[] = [];

  constructor(wire: Wire, onPuback: (packetId: number) => void) {
    this.#wire = wire;
    this.#onPuback = onPuback;
  }

  get writableLength(): number {
    return this.#wire.unsentCount * UNSENT_BYTES;
  }

  cork(): void {
    this.#corked = [];
  }

  uncork(): void {
    const pieces = this.#corked ?? [];
    this.#corked = null;
    this.#send(Buffer.concat(pieces));
    for (const taken of this.#taken.splice(0)) taken();
  }

  write(bytes: Uint8Array, taken?: () => void): boolean {
    if (this.#corked === null) this.#send(bytes);
    else this.#corked.push(bytes);
    if (taken !== undefined) this.#taken.push(taken);
    return true;
  }

  once(_event: "close", act: () => void): void {
    this.#onClose.push(act);
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#wire.closeGateway();
    for (const act of this.#onClose.splice(0)) act();
  }

  #send(bytes: Uint8Array): void {
    const type = (bytes[0] ?? 0) >> 4;
    if (type === PUBACK) {
      for (let at = 0; at < bytes.length; at += PUBACK_BYTES) {
        const id = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
        this.#onPuback(id);
        this.#wire.sendDown({ cmd: "puback", id });
      }
      return;
    }
    assert(type === PUBLISH, `a gateway writes PUBLISH and PUBACK, not ${type}`);
    this.#wire.sendDown(readPublish(bytes));
  }
}

/** A PUBLISH of MQTT 3.1.1 §3.3, whole. */
function readPublish(bytes: Uint8Array): DownPacket {
  let at = 1;
  while ((bytes[at] ?? 0) >= 0x80) at += 1;
  at += 1;
  const topicBytes = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const topic = Buffer.from(bytes.subarray(at + 2, at + 2 + topicBytes)).toString("latin1");
  at += 2 + topicBytes;
  const qos = ((bytes[0] ?? 0) >> 1) & 3;
  const id = qos === 0 ? 0 : ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return { cmd: "publish", id, topic, payload: bytes.slice(qos === 0 ? at : at + 2) };
}
