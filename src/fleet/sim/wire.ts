/**
 * One MQTT connection without sockets: packets in order, two ends, and what can happen to it.
 *
 *   device end ── up ──▶ gateway end
 *              ◀─ down ──
 *
 * An end that closes is closed at once; the other learns of it when the news
 * has travelled, which in a partition it does not: that end then lives on
 * alone until its keepalive runs out.
 * @module
 */
import type { Random } from "../../core/index.ts";
import type { Life } from "./life.ts";
import { type NetworkState, Pipe } from "./pipe.ts";
import type { Timeline } from "./timeline.ts";

/** What a device sends. */
export type UpPacket =
  | {
      readonly cmd: "connect";
      readonly clientId: string;
      readonly username: string;
      readonly keepaliveS: number;
    }
  | {
      readonly cmd: "publish";
      readonly id: number;
      readonly topic: string;
      readonly payload: Buffer;
    }
  | { readonly cmd: "subscribe"; readonly id: number; readonly topics: readonly string[] }
  | { readonly cmd: "unsubscribe"; readonly topics: readonly string[] }
  | { readonly cmd: "puback"; readonly id: number }
  | { readonly cmd: "pingreq" }
  | { readonly cmd: "disconnect" };

/** What a gateway sends. */
export type DownPacket =
  | { readonly cmd: "connack"; readonly code: number }
  | { readonly cmd: "suback"; readonly id: number; readonly granted: readonly boolean[] }
  | {
      readonly cmd: "publish";
      readonly id: number;
      readonly topic: string;
      readonly payload: Uint8Array;
    }
  | { readonly cmd: "puback"; readonly id: number }
  | { readonly cmd: "pingresp" };

/** One end, as its owner hears from the other. */
export interface EndHandlers<Packet> {
  packet(packet: Packet): void;
  /** The other end closed or the connection was cut. Called at most once, never after `close`. */
  closed(): void;
}

interface End<Packet> {
  readonly life: Life;
  readonly handlers: EndHandlers<Packet>;
  closed: boolean;
}

export class Wire {
  readonly number: number;
  readonly #up: Pipe;
  readonly #down: Pipe;
  readonly #device: End<DownPacket>;
  #gateway: End<UpPacket> | null = null;

  constructor(options: {
    readonly number: number;
    readonly timeline: Timeline;
    readonly random: Random;
    readonly network: NetworkState;
    readonly life: Life;
    readonly handlers: EndHandlers<DownPacket>;
  }) {
    const { timeline, random, network, life, handlers } = options;
    this.number = options.number;
    this.#up = new Pipe(timeline, random, network);
    this.#down = new Pipe(timeline, random, network);
    this.#device = { life, handlers, closed: false };
  }

  /** The gateway takes the connection. */
  accept(life: Life, handlers: EndHandlers<UpPacket>): void {
    this.#gateway = { life, handlers, closed: false };
  }

  /** Reaches the other end with a SYN, so to speak. */
  knock(arrive: () => void): void {
    this.#up.send(arrive);
  }

  /** Packets on their way down that the network holds back. */
  get unsentCount(): number {
    return this.#down.heldCount;
  }

  sendUp(packet: UpPacket): void {
    if (!this.#device.closed) this.#up.send(() => deliver(this.#gateway, packet));
  }

  sendDown(packet: DownPacket): void {
    if (this.#gateway?.closed === false) this.#down.send(() => deliver(this.#device, packet));
  }

  /** The device closes its end, or its process or machine ends. */
  closeDevice(): void {
    if (this.#device.closed) return;
    this.#device.closed = true;
    this.#up.send(() => hearClose(this.#gateway));
  }

  /** The gateway closes its end, or its process ends. */
  closeGateway(): void {
    if (this.#gateway?.closed !== false) return;
    this.#gateway.closed = true;
    this.#down.send(() => hearClose(this.#device));
  }

  /** A reset: what is under way is lost, and both ends hear of it. */
  cut(): void {
    this.#up.close();
    this.#down.close();
    hearClose(this.#gateway);
    hearClose(this.#device);
  }

  /** One end's machine is gone without a word: nothing arrives from it any more. */
  vanish(which: "device" | "gateway"): void {
    const end = which === "device" ? this.#device : this.#gateway;
    if (end !== null) end.closed = true;
    (which === "device" ? this.#up : this.#down).close();
  }

  release(): void {
    this.#up.release();
    this.#down.release();
  }

  /** Neither end is in use. */
  get over(): boolean {
    return this.#device.closed && this.#gateway?.closed !== false;
  }
}

function deliver<Packet>(end: End<Packet> | null, packet: Packet): void {
  end?.life.wake(() => {
    if (!end.closed) end.handlers.packet(packet);
  });
}

function hearClose(end: End<never> | null): void {
  if (end === null || end.closed) return;
  end.closed = true;
  end.life.wake(() => end.handlers.closed());
}
