/**
 * A TV reduced to what a server sees of it, which does not behave.
 *
 * It says everything again that was not acknowledged, on each connection, as the real ones do, and
 * writes down what it sent and what was acknowledged. On request it stalls, repeats itself, mixes up
 * its order, logs in twice or publishes garbage.
 * @module
 */
import { connect, type Socket } from "node:net";
import {
  backoffDelayMs,
  deviceName,
  limits,
  OmegaError,
  type Random,
} from "../../src/core/index.ts";
import type { FramePool } from "../../src/fleet/load/frame-pool.ts";
import {
  connectPacket,
  PACKET,
  PacketReader,
  pubackPacket,
  publishPacket,
  type ReadPacket,
  readPublish,
  subscribePacket,
} from "../../src/fleet/load/packets.ts";
import { frameHash } from "../../src/fleet/oracle/recorders.ts";
import type { HistorySink } from "../../src/fleet/oracle/sinks.ts";
import { encodePull, peekFrame, topicOf } from "../../src/wire/index.ts";
import type { Mischief } from "./messages.ts";
import { resetSocket } from "./reset-socket.ts";

interface Delta {
  readonly seq: number;
  readonly frame: Uint8Array;
}

export interface LightWorld {
  readonly port: number;
  readonly tenant: string;
  readonly epoch: number;
  readonly frames: FramePool;
  readonly random: Random;
  readonly sink: HistorySink;
  readonly complain: (what: string) => void;
  readonly poisoned: () => void;
}

const KEEPALIVE_S = 30;
const PING_MS = 20_000;
const ACK_MS_MAX = 5_000;
const CONNECT_MS_MAX = 5_000;
const BACKOFF = { delayMsBase: 250, delayMsMax: 4_000 };
/** Each fifth device is of the older protocol minor. */
const OLD_SHARE = 5;
const REMEMBERED = 4;
const SUBACK_FAILURE = 0x80;

export class LightDevice {
  readonly name: string;
  readonly #index: number;
  readonly #device: string;
  readonly #world: LightWorld;
  readonly #topics: { readonly up: string; readonly down: string; readonly err: string };
  #socket: Socket | null = null;
  #second: Socket | null = null;
  #online = false;
  #attempts = 0;
  #seq = 0;
  #packetId = 0;
  #version = 0;
  #waiting: Delta[] = [];
  /** In the order of publishing, which PUBACKs must keep; null is a pull or garbage. */
  #inFlight: { readonly id: number; readonly delta: Delta | null; readonly bad: boolean }[] = [];
  #deadline: NodeJS.Timeout | null = null;
  #acked: Delta[] = [];
  #swap = false;

  constructor(index: number, device: string, world: LightWorld) {
    this.#index = index;
    this.#device = device;
    this.#world = world;
    const key = { tenant: world.tenant, device };
    this.name = deviceName(key);
    this.#topics = { up: topicOf(key, "up"), down: topicOf(key, "down"), err: topicOf(key, "err") };
  }

  get version(): number {
    return this.#version;
  }

  get pending(): number {
    return this.#waiting.length + this.#inFlight.filter(({ delta }) => delta !== null).length;
  }

  /** Connects, now and whenever the connection is lost. */
  join(): void {
    const socket = connect({ port: this.#world.port, host: "127.0.0.1", noDelay: true });
    const reader = new PacketReader();
    this.#socket = socket;
    socket.once("connect", () => socket.write(this.#login()));
    socket.on("data", (chunk) => {
      const whole = reader.push(chunk, (packet) => {
        if (this.#socket === socket) this.#take(packet);
      });
      if (!whole) this.#wrong("sent what is no MQTT");
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      if (this.#socket === socket) this.#lost();
    });
    this.#expect(CONNECT_MS_MAX);
  }

  /** The application has something to say. */
  push(change: (frame: Uint8Array) => Uint8Array = (frame) => frame): void {
    const { frames, epoch } = this.#world;
    this.#seq += 1;
    const frame = change(frames.frame(this.#index, epoch, this.#seq, this.#version));
    this.#waiting.push({ seq: this.#seq, frame });
    if (this.#swap && this.#waiting.length > 1) {
      this.#swap = false;
      this.#waiting.reverse();
    }
    if (this.#online && !this.#swap) this.#sendWaiting();
  }

  do(what: Mischief): void {
    switch (what.kind) {
      case "stall":
        this.#stall(what.forMs);
        break;
      case "cut":
        if (this.#socket !== null) resetSocket(this.#socket);
        break;
      case "replay":
        this.#replay();
        break;
      case "reorder":
        this.#swap = true;
        this.push();
        this.push();
        break;
      case "twice":
        this.#twice(what.forMs);
        break;
      case "poison":
        this.#poison();
        break;
    }
  }

  #login(): Buffer {
    const { name: username } = this;
    return connectPacket({
      ...{ clientId: this.#device, username, password: null, keepaliveS: KEEPALIVE_S },
    });
  }

  #take(packet: ReadPacket): void {
    if (packet.type === PACKET.connack) this.#connacked(packet.body[1] ?? -1);
    else if (packet.type === PACKET.puback) this.#pubacked(packet.body.readUInt16BE(0));
    else if (packet.type === PACKET.publish) this.#published(packet);
    else if (packet.type === PACKET.suback && packet.body.includes(SUBACK_FAILURE, 2)) {
      this.#wrong("refused a subscription to the device's own topics");
    }
  }

  #connacked(code: number): void {
    // Busy is an answer; another one than that would be wrong.
    if (code !== 0) {
      if (code !== 3) this.#wrong(`answered a login with ${code}`);
      else this.#socket?.destroy();
      return;
    }
    this.#online = true;
    this.#attempts = 0;
    const { up, down, err } = this.#topics;
    const minor = this.#index % OLD_SHARE === 0 ? {} : { minor: 1 };
    this.#publish(up, encodePull(this.#version, minor), null);
    this.#socket?.write(subscribePacket(this.#nextId(), [err, down]));
    this.#sendWaiting();
    this.#ping(this.#socket);
  }

  #sendWaiting(): void {
    while (this.#waiting.length > 0 && this.#inFlight.length < limits.DEVICE_INFLIGHT_MAX) {
      this.#send(this.#waiting.shift() as Delta);
    }
  }

  #send(delta: Delta): void {
    const { sink, epoch } = this.#world;
    const { name: device } = this;
    const { seq, frame } = delta;
    sink.record({ kind: "send", device, epoch, seq, hash: frameHash(frame) });
    this.#publish(this.#topics.up, frame, delta);
  }

  #publish(topic: string, payload: Uint8Array, delta: Delta | null, bad = false): void {
    const id = this.#nextId();
    this.#inFlight.push({ id, delta, bad });
    this.#socket?.write(publishPacket(id, topic, payload));
    if (this.#inFlight.length === 1) this.#expect(ACK_MS_MAX);
  }

  #pubacked(id: number): void {
    const first = this.#inFlight.shift();
    if (first?.id !== id) {
      // [MQTT-4.6.0-2]
      this.#wrong(`acknowledged packet ${id} before ${first?.id}`);
      return;
    }
    const { sink, epoch, poisoned } = this.#world;
    if (first.bad) poisoned();
    if (first.delta !== null) {
      sink.record({ kind: "acked", device: this.name, epoch, seq: first.delta.seq });
      this.#acked = [first.delta, ...this.#acked].slice(0, REMEMBERED);
    }
    if (this.#inFlight.length > 0) this.#expect(ACK_MS_MAX);
    else this.#expect(null);
    this.#sendWaiting();
  }

  #published(packet: ReadPacket): void {
    const message = readPublish(packet);
    if (message === null) {
      this.#wrong("sent a PUBLISH that is none");
      return;
    }
    if (message.qos > 0) this.#socket?.write(pubackPacket(message.messageId));
    const { down, err } = this.#topics;
    if (message.topic === down) this.#received(message.payload);
    else if (message.topic !== err) this.#wrong(`sent what belongs to ${message.topic}`);
  }

  #received(payload: Buffer): void {
    const header = headerOf(payload);
    if (header?.kind !== "snapshot" && header?.kind !== "release-delta") {
      this.#wrong("sent down what cannot be read");
      return;
    }
    if (header.part !== undefined && header.part.n !== header.part.of) return;
    // A gateway that has not heard of the newest one yet may still serve the one before.
    this.#version = Math.max(this.#version, header.version);
  }

  #stall(forMs: number): void {
    const socket = this.#socket;
    socket?.pause();
    setTimeout(() => socket?.resume(), forMs);
  }

  #replay(): void {
    const old = this.#acked[this.#acked.length - 1];
    if (old !== undefined && this.#online) this.#publish(this.#topics.up, old.frame, null);
  }

  #twice(forMs: number): void {
    if (this.#second !== null) return;
    const second = connect({ port: this.#world.port, host: "127.0.0.1" });
    this.#second = second;
    const unacked = [...this.#inFlight].flatMap(({ delta }) => delta ?? []).concat(this.#acked);
    second.once("connect", () => second.write(this.#login()));
    second.once("data", () => {
      for (const [index, { frame }] of unacked.entries()) {
        second.write(publishPacket(index + 1, this.#topics.up, frame));
      }
    });
    second.on("error", () => {});
    second.once("close", () => {
      this.#second = null;
    });
    setTimeout(() => second.destroy(), forMs);
  }

  #poison(): void {
    if (!this.#online) return;
    const { random } = this.#world;
    if (random.next() < 0.5) {
      // A place that is consumed without being applied: the body is only half there.
      this.push((frame) => frame.subarray(0, frame.length >> 1));
      return;
    }
    const length = 8 + Math.floor(random.next() * 300);
    const noise = Uint8Array.from({ length }, () => Math.floor(random.next() * 256));
    this.#publish(this.#topics.up, noise, null, true);
  }

  #ping(socket: Socket | null): void {
    setTimeout(() => {
      if (this.#socket !== socket || socket === null) return;
      socket.write(Buffer.of(0xc0, 0));
      this.#ping(socket);
    }, PING_MS);
  }

  #wrong(what: string): void {
    this.#world.complain(`${this.name}: the server ${what}`);
    this.#socket?.destroy();
  }

  /** The connection ends unless something comes of it in time. */
  #expect(inMs: number | null): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#deadline = inMs === null ? null : setTimeout(() => socket?.destroy(), inMs);
  }

  #lost(): void {
    this.#expect(null);
    this.#socket = null;
    this.#online = false;
    // P3: said again byte for byte, before anything new.
    const again = this.#inFlight.flatMap(({ delta }) => delta ?? []);
    this.#waiting = [...again, ...this.#waiting];
    this.#inFlight = [];
    const delayMs = backoffDelayMs(BACKOFF, this.#attempts, this.#world.random);
    this.#attempts += 1;
    setTimeout(() => this.join(), delayMs);
  }

  #nextId(): number {
    do {
      this.#packetId = (this.#packetId % 65_535) + 1;
    } while (this.#inFlight.some(({ id }) => id === this.#packetId));
    return this.#packetId;
  }
}

function headerOf(payload: Buffer) {
  try {
    return peekFrame(payload, limits.DOWN_FRAME_BYTES_MAX).header;
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}
