/**
 * A TV reduced to what a server sees of it.
 *
 *   away ──join──▶ connecting ──CONNACK 0──▶ online ──leave──▶ away
 *                   ▲   │ refused, closed      │ closed
 *                   └───┴────── backing-off ◀──┘
 *
 * It speaks the real protocol (pull, SUBSCRIBE, deltas of rising seq, PUBACKs
 * for what comes down, the same bytes again after a loss) and keeps no state
 * beyond it. Deltas become due by the schedule alone: what cannot be sent yet
 * waits, and its latency counts from when it was due.
 * @module
 */
import {
  assert,
  backoffDelayMs,
  type Clock,
  DEFAULT_BACKOFF,
  limits,
  OmegaError,
  type Random,
} from "../../core/index.ts";
import { encodePull, type FrameHeader, peekFrame } from "../../wire/index.ts";
import type { Agenda } from "./agenda.ts";
import type { FramePool } from "./frame-pool.ts";
import { type NetworkProfile, transitMs, waitMs } from "./network.ts";
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
} from "./packets.ts";
import type { Tally } from "./tally.ts";
import type { Opener, Wire } from "./wire.ts";

/** What all devices of a process share. */
export interface DeviceWorld {
  readonly opener: Opener;
  readonly frames: FramePool;
  readonly tally: Tally;
  readonly agenda: Agenda;
  readonly network: NetworkProfile;
  readonly clock: Clock;
  readonly random: Random;
  readonly epoch: number;
}

export interface DeviceIdentity {
  /** Its number in the fleet. */
  readonly index: number;
  readonly clientId: string;
  readonly username: string;
  readonly password: () => string | null;
  readonly topics: { readonly up: string; readonly down: string; readonly err: string };
}

interface Delta {
  readonly dueMs: number;
  readonly frame: Uint8Array;
}

const KEEPALIVE_S = 600;
const PING_MS = KEEPALIVE_S * 1_000 * 0.75;
const PACKET_ID_MAX = 65_535;
const SUBACK_FAILURE = 0x80;
const CONNACK_BUSY = 3;
const MINOR = 1;
/** Keeps chunks that would arrive together in their order. */
const IN_TURN_MS = 0.001;

export class LightDevice {
  readonly #identity: DeviceIdentity;
  readonly #world: DeviceWorld;
  #phase: "away" | "connecting" | "online" | "backing-off" = "away";
  #wire: Wire | null = null;
  /** Counts connections, so that what was meant for an earlier one is dropped. */
  #connection = 0;
  #attempts = 0;
  #askedMs = 0;
  #seq = 0;
  #packetId = 0;
  #version: number | null = null;
  /** Due times of deltas without a seq yet. */
  #due: number[] = [];
  /** Sent and not acknowledged, by packet id, in order; null is the pull. */
  #inFlight = new Map<number, Delta | null>();
  /** What a lost connection leaves, in order: sent again before anything new. */
  #unacked: Delta[] = [];
  /** Nothing overtakes on one connection. */
  #lastArrivalMs = 0;

  constructor(identity: DeviceIdentity, world: DeviceWorld) {
    this.#identity = identity;
    this.#world = world;
  }

  get isAway(): boolean {
    return this.#phase === "away";
  }

  get pending(): number {
    const pulls = this.#phase === "online" && [...this.#inFlight.values()].includes(null) ? 1 : 0;
    return this.#due.length + this.#unacked.length + this.#inFlight.size - pulls;
  }

  /** Connects, and comes back whenever the connection is lost. `dueMs`: when it was meant to. */
  join(dueMs: number): void {
    assert(this.#phase === "away" || this.#phase === "backing-off", "one connection at a time");
    this.#phase = "connecting";
    this.#connection += 1;
    const connection = this.#connection;
    const reader = new PacketReader();
    this.#askedMs = dueMs;
    this.#lastArrivalMs = 0;
    const ifCurrent = (act: () => void) => {
      if (this.#connection === connection) act();
    };
    this.#wire = this.#world.opener.open(this.#identity.index, {
      opened: () => ifCurrent(() => this.#send(connectPacket(this.#login()))),
      data: (chunk) =>
        ifCurrent(() => {
          if (!reader.push(chunk, (packet) => ifCurrent(() => this.#take(packet)))) this.#wrong();
        }),
      closed: () => ifCurrent(() => this.#lost()),
    });
    const cutMs = waitMs(this.#world.network.cutsPerHour, () => this.#world.random.next());
    if (cutMs !== Number.POSITIVE_INFINITY) this.#later(cutMs, () => this.cut());
  }

  /** Says goodbye and stays away until `join`. Only for one with nothing pending. */
  leave(): void {
    const wire = this.#wire;
    this.#forget();
    this.#phase = "away";
    wire?.write(DISCONNECT);
    wire?.end();
  }

  /** Cuts the connection without a word, as a network does; the device comes back with backoff. */
  cut(): void {
    if (this.#wire === null) return;
    this.#world.tally.count("cuts");
    this.#backOff();
  }

  /** Connects at once if it is waiting to connect again; the next waits are short ones again. */
  hurry(dueMs: number): void {
    if (this.#phase !== "backing-off") return;
    this.#attempts = 0;
    this.join(dueMs);
  }

  /** For the end of a run: no goodbye, no return. */
  abandon(): void {
    const wire = this.#wire;
    this.#forget();
    this.#phase = "away";
    wire?.destroy();
  }

  /** A delta is due. */
  push(dueMs: number): void {
    this.#world.tally.count("offered");
    this.#due.push(dueMs);
    if (this.#phase === "online") this.#sendDue();
  }

  #login() {
    const { clientId, username, password } = this.#identity;
    return { clientId, username, password: password(), keepaliveS: KEEPALIVE_S };
  }

  #take(packet: ReadPacket): void {
    if (packet.type === PACKET.connack) this.#connacked(packet.body[1] ?? -1);
    else if (!this.#understands(packet)) this.#wrong();
  }

  /** Does what the packet asks for; false when no server should have sent it. */
  #understands(packet: ReadPacket): boolean {
    switch (packet.type) {
      case PACKET.puback:
        return this.#pubacked(packet.body.length === 2 ? packet.body.readUInt16BE(0) : 0);
      case PACKET.publish:
        return this.#published(packet);
      case PACKET.suback:
        return !packet.body.subarray(2).includes(SUBACK_FAILURE);
      case PACKET.pingresp:
        return true;
      default:
        return false;
    }
  }

  #connacked(code: number): void {
    const { tally, clock } = this.#world;
    if (code !== 0 || this.#phase !== "connecting") {
      const name = code === CONNACK_BUSY ? "busy" : code === 0 ? "wrongAnswers" : "loginsRefused";
      tally.count(name);
      this.#backOff();
      return;
    }
    this.#phase = "online";
    this.#attempts = 0;
    tally.count("connects");
    tally.connected += 1;
    tally.connectMs.add(clock.monotonicMs() - this.#askedMs);
    const { up, down, err } = this.#identity.topics;
    const pullId = this.#nextId();
    this.#inFlight.set(pullId, null);
    const pull = encodePull(this.#version ?? 0, { minor: MINOR });
    // A device says what it reads before it listens (PROTOCOL §6).
    this.#send(publishPacket(pullId, up, pull), subscribePacket(this.#nextId(), [err, down]));
    for (const delta of this.#unacked.splice(0)) {
      tally.count("resent");
      this.#sendDelta(delta);
    }
    this.#sendDue();
    this.#later(PING_MS, () => this.#ping());
  }

  #pubacked(messageId: number): boolean {
    const delta = this.#inFlight.get(messageId);
    if (delta === undefined) return false;
    this.#inFlight.delete(messageId);
    const { tally, clock } = this.#world;
    if (delta !== null) tally.acked(clock.monotonicMs() - delta.dueMs);
    this.#sendDue();
    return true;
  }

  #published(packet: ReadPacket): boolean {
    const message = readPublish(packet);
    if (message === null) return false;
    const { tally } = this.#world;
    const { down, err } = this.#identity.topics;
    if (message.qos > 0) this.#send(pubackPacket(message.messageId));
    if (message.topic === err) tally.count("refused");
    return message.topic === err || (message.topic === down && this.#received(message.payload));
  }

  #received(payload: Buffer): boolean {
    const { tally } = this.#world;
    tally.count("downFrames");
    tally.count("downBytes", payload.length);
    const header = headerOf(payload);
    if (header?.kind !== "snapshot" && header?.kind !== "release-delta") return false;
    const complete = header.part === undefined || header.part.n === header.part.of;
    if (complete && header.version !== this.#version) {
      tally.moved(this.#version, header.version);
      this.#version = header.version;
    }
    return true;
  }

  #sendDue(): void {
    const { frames, epoch } = this.#world;
    while (this.#due.length > 0 && this.#inFlight.size < limits.DEVICE_INFLIGHT_MAX) {
      this.#seq += 1;
      const frame = frames.frame(this.#identity.index, epoch, this.#seq, this.#version ?? 0);
      this.#sendDelta({ dueMs: this.#due.shift() as number, frame });
    }
  }

  #sendDelta(delta: Delta): void {
    const id = this.#nextId();
    this.#inFlight.set(id, delta);
    this.#world.tally.count("upBytes", delta.frame.length);
    this.#send(publishPacket(id, this.#identity.topics.up, delta.frame));
  }

  #ping(): void {
    this.#send(PINGREQ);
    this.#later(PING_MS, () => this.#ping());
  }

  /** The server said what no server should. */
  #wrong(): void {
    this.#world.tally.count("wrongAnswers");
    this.#backOff();
  }

  #lost(): void {
    this.#world.tally.count(this.#phase === "online" ? "disconnects" : "connectFailures");
    this.#backOff();
  }

  #backOff(): void {
    const { agenda, clock, random } = this.#world;
    const wire = this.#wire;
    this.#forget();
    wire?.destroy();
    this.#phase = "backing-off";
    const delayMs = backoffDelayMs(DEFAULT_BACKOFF, this.#attempts, random);
    this.#attempts += 1;
    const connection = this.#connection;
    agenda.at(clock.monotonicMs() + delayMs, (atMs) => {
      if (this.#phase === "backing-off" && this.#connection === connection) this.join(atMs);
    });
  }

  /** The connection is over: what it had in flight will be sent again, byte for byte (P3). */
  #forget(): void {
    if (this.#phase === "online") this.#world.tally.connected -= 1;
    this.#wire = null;
    this.#connection += 1;
    const unacked = [...this.#inFlight.values()].filter((delta) => delta !== null);
    this.#unacked = [...unacked, ...this.#unacked];
    this.#inFlight = new Map();
  }

  /** Runs `act` in `delayMs` if this connection still stands. */
  #later(delayMs: number, act: () => void): void {
    const { agenda, clock } = this.#world;
    const connection = this.#connection;
    agenda.at(clock.monotonicMs() + delayMs, () => {
      if (this.#connection === connection) act();
    });
  }

  /** Puts packets on the network, in order, as late as it makes them. */
  #send(...packets: readonly Uint8Array[]): void {
    const { agenda, clock, network, random } = this.#world;
    const wire = this.#wire;
    const bytes = packets.length === 1 ? (packets[0] as Uint8Array) : Buffer.concat(packets);
    const delayMs = transitMs(network, () => random.next());
    if (delayMs === 0) {
      wire?.write(bytes);
      return;
    }
    const arrivalMs = Math.max(this.#lastArrivalMs + IN_TURN_MS, clock.monotonicMs() + delayMs);
    this.#lastArrivalMs = arrivalMs;
    agenda.at(arrivalMs, () => {
      if (this.#wire === wire) wire?.write(bytes);
    });
  }

  #nextId(): number {
    do {
      this.#packetId = (this.#packetId % PACKET_ID_MAX) + 1;
    } while (this.#inFlight.has(this.#packetId));
    return this.#packetId;
  }
}

function headerOf(payload: Buffer): FrameHeader | null {
  try {
    return peekFrame(payload, limits.DOWN_FRAME_BYTES_MAX).header;
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}
