/**
 * Taking deltas out of the broker's hands: from a PUBLISH to a durable add to
 * its PUBACK.
 *
 * aedes acknowledges between `authorizePublish` and `published`, so a queue
 * fed from anywhere later loses acknowledged messages (3,373 of 24,035 over 25
 * kills; none when fed from here). The seam: in `authorizePublish` take the
 * packet, turn its `qos` to 0 so that aedes neither acknowledges nor stores it,
 * and call back at once, so that pings behind it are answered; write the
 * PUBACK ourselves when the add is durable (P1). While the client's window, or
 * the memory of all clients, is full, callbacks are held and the socket rests.
 *
 * A frame's header is read to tell deltas from pulls; its body is not touched
 * here. A frame that cannot be read is queued like any other: the aggregator
 * dead-letters it with its reason and tells the device (P2).
 * @module
 */
import {
  type Clock,
  limits as coreLimits,
  type OmegaError,
  ProtocolError,
  shardOf,
} from "../src/core/index.ts";
import type { Logger, Metrics } from "../src/observe/index.ts";
import type { DeltaProducer } from "../src/queue/index.ts";
import { peekHeader } from "../src/wire/index.ts";
import { type AckSlot, AckWindow, ByteBudget } from "./ack-window.ts";
import { type DeviceTopics, type PublishRequest, publishRefusal } from "./acl.ts";
import { Batcher } from "./batcher.ts";
import type { DirectStream } from "./guard.ts";
import { DELTA_OVERHEAD_BYTES, type GatewayLimits } from "./limits.ts";
import { unsentBytesMax } from "./link.ts";
import type { FrameListener, GatewayClient, Sender, Told } from "./ports.ts";
import { endOfTurn } from "./turn.ts";

/** What the seam touches of a PUBLISH; aedes' own packet object, whose `qos` is changed. */
export interface TakenPacket extends PublishRequest {
  qos: 0 | 1 | 2;
  readonly payload: string | Buffer;
}

/** One client's uplink, from CONNACK 0 to its close. */
export interface Uplink<From extends Sender = GatewayClient> {
  readonly client: From;
  readonly topics: DeviceTopics;
  readonly shard: number;
  readonly window: AckWindow;
  readonly socket: UplinkSocket;
}

/** What an uplink may do to its connection. */
export interface UplinkSocket {
  /** What PUBACKs are written to. */
  readonly conn: DirectStream;
  /** Stops and starts the reading of packets. */
  pause(): void;
  resume(): void;
  /** A frame was taken; absent where nobody counts them. */
  took?(): void;
  /** Closes it without another PUBACK. Idempotent. */
  close(error: OmegaError): void;
}

export interface IngestOptions<From extends Sender = GatewayClient> {
  readonly producer: Pick<DeltaProducer, "add">;
  readonly shards: number;
  readonly limits: GatewayLimits;
  readonly downlink: FrameListener<From>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Ingest<From extends Sender = GatewayClient> {
  readonly #options: IngestOptions<From>;
  readonly #batcher: Batcher;
  readonly #budget: ByteBudget;
  readonly #later = endOfTurn();
  /** Frames received, by kind; series are made of it when somebody looks. */
  readonly #frames: Record<string, number> = {};

  constructor(options: IngestOptions<From>) {
    this.#options = options;
    this.#batcher = new Batcher(options);
    this.#budget = new ByteBudget(options.limits.inFlightBytesMax);
    const { metrics } = options;
    metrics.readCounter(
      "omega_gateway_frames_total",
      "Frames received, by kind",
      "kind",
      () => this.#frames,
    );
    metrics.readGauge(
      "omega_gateway_in_flight_bytes",
      "Bytes of deltas taken and not yet durable",
      () => this.#budget.used,
    );
  }

  /** Whether deltas can be made durable, as far as the last add showed. */
  get reachable(): boolean {
    return this.#batcher.reachable;
  }

  /** 0 … 10: how full the memory for deltas in flight is. */
  pressure(): number {
    return (this.#budget.used / this.#budget.bytesMax) * 10;
  }

  /** The uplink of an accepted client. */
  open(client: From, topics: DeviceTopics, socket: UplinkSocket): Uplink<From> {
    const { limits, shards, downlink } = this.#options;
    const { conn } = socket;
    const send = (pubacks: Buffer) => {
      if (conn.destroyed) return;
      conn.write(pubacks);
      // P8: a device that publishes and never reads would pile its PUBACKs up here.
      if (conn.writableLength <= limits.unreadBytesMax) return;
      const bytesMax = unsentBytesMax(limits.unreadBytesMax, downlink.modelBytes(client));
      if (conn.writableLength > bytesMax) {
        socket.close(
          new ProtocolError("client.unread", "the device does not read its acknowledgements"),
        );
      }
    };
    // Field by field: a copy of all limits would be a large object to every connection, and a slow one.
    const window = new AckWindow({
      inFlightCountMax: limits.inFlightCountMax,
      waitingCountMax: limits.waitingCountMax,
      budget: this.#budget,
      later: this.#later,
      send,
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      admitted: () => socket.took?.(),
    });
    return { client, topics, shard: shardOf(client.key, shards), window, socket };
  }

  /**
   * Takes a PUBLISH. `done` is aedes' callback: with an error it closes the socket, which is the
   * only refusal MQTT 3.1.1 has; without one it goes on to the next packet.
   */
  take(uplink: Uplink<From>, packet: TakenPacket, done: (error?: Error) => void): void {
    const refusal = publishRefusal(uplink.topics, packet);
    if (refusal !== null) {
      done(new ProtocolError(refusal, `a device may not publish this: ${refusal}`));
      return;
    }
    const frame = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload);
    // A refusal needs an identifier, so there is one.
    const packetId = packet.messageId ?? 0;
    const begun = () => {
      packet.qos = 0;
      done();
    };
    if (!this.#admit(uplink, packetId, frame, begun)) done(flood());
  }

  /**
   * Takes a delta of which the broker knows nothing: QoS 1, on the device's own topic, with an
   * identifier. Throws `ProtocolError("publish.flood")`.
   */
  takeFrame(uplink: Uplink<From>, packetId: number, frame: Buffer): void {
    if (!this.#admit(uplink, packetId, frame)) throw flood();
  }

  /** Resolves when every delta taken has been answered; bounded by the add timeout. */
  flush(): Promise<void> {
    return this.#batcher.flush();
  }

  /** Fails what is still unanswered. */
  abort(): void {
    this.#batcher.abort();
  }

  #admit(uplink: Uplink<From>, packetId: number, frame: Buffer, begun?: () => void): boolean {
    return uplink.window.admit(packetId, frame.length + DELTA_OVERHEAD_BYTES, (slot) => {
      this.#begin(uplink, slot, frame);
      begun?.();
    });
  }

  #begin(uplink: Uplink<From>, slot: AckSlot, frame: Buffer): void {
    const { client, window } = uplink;
    const head = headOf(frame);
    this.#frames[head.kind] = (this.#frames[head.kind] ?? 0) + 1;
    if (head.kind === "pull") {
      this.#options.downlink.onPull(client, head);
      window.settle(slot);
      return;
    }
    if (head.kind === "delta") this.#options.downlink.onUpHeader(client, head);
    this.#batcher.add(uplink.shard, {
      entry: { key: client.key, receivedAtMs: this.#options.clock.nowMs(), frame },
      settled: (error) => {
        if (error === null) {
          window.settle(slot);
        } else {
          window.abandon(slot);
          uplink.socket.close(error);
        }
      },
    });
  }
}

/** What the gateway reads of every frame; both numbers are 0 where it says nothing. */
interface FrameHead extends Told {
  readonly kind: string;
}

const UNREADABLE: FrameHead = { kind: "unreadable", base: 0, minor: 0 };

/** Never throws: what cannot be read is dead-lettered later, with its reason. */
function headOf(frame: Buffer): FrameHead {
  try {
    const header = peekHeader(frame, coreLimits.UP_FRAME_BYTES_MAX);
    const { kind, minor = 0 } = header;
    return { kind, minor, base: "base" in header ? header.base : 0 };
  } catch {
    return UNREADABLE;
  }
}

function flood(): ProtocolError {
  return new ProtocolError("publish.flood", "more deltas wait than a client may send ahead");
}
