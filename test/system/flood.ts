/**
 * A device without manners: it publishes as fast as its socket takes it, a window of deltas ahead of the
 * acknowledgements, and after a lost connection goes on behind the last delta that was acknowledged.
 * @module
 */
import { connect, type Socket } from "node:net";
import type { FramePool } from "../../src/fleet/load/frame-pool.ts";
import {
  connectPacket,
  PACKET,
  PacketReader,
  publishPacket,
  type ReadPacket,
} from "../../src/fleet/load/packets.ts";
import { upTopic } from "../gateway/uplink/raw-client.ts";

export interface FloodOptions {
  readonly port: number;
  readonly index: number;
  readonly frames: FramePool;
  readonly epoch: number;
  /** Deltas sent and not acknowledged at first; see {@link FloodDevice.pushAhead}. */
  readonly aheadMax: number;
}

const RECONNECT_MS = 250;

export class FloodDevice {
  readonly name: string;
  /** Deltas 1 … acked have their PUBACK. */
  acked = 0;
  /** Connections that the server ended, or did not accept. */
  lost = 0;
  /** PUBACKs that came out of turn. */
  wrong = 0;
  readonly #options: FloodOptions;
  #aheadMax: number;
  #socket: Socket | null = null;
  /** Sent on any connection so far; all of it is owed. */
  #owed = 0;
  /** The last one sent on this connection. */
  #sent = 0;
  #state: "pushing" | "finishing" | "ended" = "pushing";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FloodOptions) {
    this.#options = options;
    this.#aheadMax = options.aheadMax;
    this.name = `flood-${options.index}`;
  }

  get done(): boolean {
    return this.#state !== "pushing" && this.acked === this.#owed;
  }

  start(): void {
    const reader = new PacketReader();
    const socket = connect({ port: this.#options.port, host: "127.0.0.1" });
    this.#socket = socket;
    const login = { clientId: this.name, username: `default/${this.name}`, password: null };
    socket.write(connectPacket({ ...login, keepaliveS: 600 }));
    socket.on("data", (chunk) => reader.push(chunk, (packet) => this.#take(packet)));
    socket.on("drain", () => this.#pump());
    socket.on("error", () => {});
    socket.once("close", () => {
      if (this.#state === "ended") return;
      this.lost += 1;
      this.#timer = setTimeout(() => this.start(), RECONNECT_MS);
    });
  }

  /** From now on so many deltas ahead of the acknowledgements; below the dedup window of 256. */
  pushAhead(aheadMax: number): void {
    this.#aheadMax = aheadMax;
    this.#pump();
  }

  /** Nothing new any more; what was sent is sent until it is acknowledged. */
  finish(): void {
    this.#state = "finishing";
  }

  end(): void {
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #take(packet: ReadPacket): void {
    if (packet.type === PACKET.connack && packet.body[1] === 0) {
      this.#sent = this.acked;
      this.#pump();
    } else if (packet.type === PACKET.puback) {
      this.acked += 1;
      if (packet.body.readUInt16BE(0) !== packetId(this.acked)) this.wrong += 1;
      this.#pump();
    }
  }

  #pump(): void {
    const { frames, index, epoch } = this.#options;
    const socket = this.#socket;
    if (socket === null || this.#state === "ended") return;
    while (!socket.writableNeedDrain && this.#sent - this.acked < this.#aheadMax) {
      if (this.#state === "finishing" && this.#sent >= this.#owed) return;
      this.#sent += 1;
      this.#owed = Math.max(this.#owed, this.#sent);
      const frame = frames.frame(index, epoch, this.#sent, 0);
      socket.write(publishPacket(packetId(this.#sent), upTopic(this.name), frame));
    }
  }
}

function packetId(seq: number): number {
  return ((seq - 1) % 65_535) + 1;
}
