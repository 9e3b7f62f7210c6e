/**
 * Frames that come through another broker: the same checks, batches and
 * PUBACKs as on a socket of a device's own.
 *
 * One connection carries many devices, so one window orders its PUBACKs
 * (MQTT 5, 4.6) and the device is read from each message's topic. That the
 * device is who the topic says is the broker's word: its access rules decide
 * who may publish there. What we can see is checked as for a device of ours,
 * and what fails is acknowledged and dropped, for the device was told PUBACK by
 * the broker long ago and nobody could send it better a second time.
 * @module
 */
import type { Socket } from "node:net";
import type { IPublishPacket } from "mqtt-packet";
import { deviceName, messageOf, OmegaError, shardOf } from "../../src/core/index.ts";
import type { Counter, Logger, Metrics } from "../../src/observe/index.ts";
import { parseTopic } from "../../src/wire/index.ts";
import { topicsOf } from "../acl.ts";
import type { Ingest, Uplink } from "../ingest.ts";
import type { Sender } from "../ports.ts";
import type { Connection } from "./connection.ts";
import type { Reception } from "./session.ts";

export interface ForeignUplinkOptions {
  readonly ingest: Ingest<Sender>;
  readonly shards: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The connection itself, where the ingest wants to know whose window it opens. */
const NOBODY: Sender = { name: "", key: { tenant: "", device: "" } };
/** Characters of a topic that no device has, in a log line. */
const TOPIC_SHOWN_MAX = 100;
const NO_TOPICS = { tenant: "", up: "", down: "", err: "" };

export class ForeignUplink {
  readonly #options: ForeignUplinkOptions;
  readonly #dropped: Counter;
  #current: { readonly uplink: Uplink<Sender>; readonly socket: Socket } | null = null;
  #resting = false;
  #taken = 0;

  constructor(options: ForeignUplinkOptions) {
    this.#options = options;
    this.#dropped = options.metrics.counter(
      "omega_gateway_broker_dropped_total",
      "Messages of the broker in front that are no device's frames, by reason",
      ["reason"],
    );
  }

  /** Messages taken so far; for whoever waits for a silence. */
  get taken(): number {
    return this.#taken;
  }

  /** Nothing more is read, and the broker keeps the rest; what was read can still be acknowledged. */
  rest(): void {
    this.#resting = true;
    this.#current?.socket.pause();
  }

  /** Resolves when everything taken on the present connection is acknowledged. */
  async idle(): Promise<void> {
    await this.#current?.uplink.window.idle();
  }

  /** Takes what comes on a new connection; the former one's window is closed by then. */
  open(connection: Connection): Reception {
    const { socket } = connection;
    const uplink = this.#options.ingest.open(NOBODY, NO_TOPICS, {
      conn: socket,
      pause: () => socket.pause(),
      resume: () => this.#resting || socket.resume(),
      // No DISCONNECT: the session must stay, so that the broker sends it all again.
      close: (error) => connection.cut(error),
    });
    this.#current = { uplink, socket };
    return {
      take: (packet) => this.#take(uplink, packet),
      close: () => uplink.window.close(),
    };
  }

  #take(uplink: Uplink<Sender>, packet: IPublishPacket): void {
    this.#taken += 1;
    const key = parseTopic(packet.topic)?.key ?? null;
    if (key === null) {
      this.#drop(uplink, packet, "publish.topic");
      return;
    }
    const { ingest, shards } = this.#options;
    const of = {
      ...{ window: uplink.window, socket: uplink.socket, topics: topicsOf(key) },
      client: { name: deviceName(key), key },
      shard: shardOf(key, shards),
    };
    ingest.take(of, packet, (error) => {
      if (error === undefined) return;
      const reason = error instanceof OmegaError ? error.reason : messageOf(error);
      this.#drop(uplink, packet, reason);
    });
  }

  #drop({ window }: Uplink<Sender>, packet: IPublishPacket, reason: string): void {
    this.#dropped.add(1, { reason });
    // Anybody the broker lets in may send these, so they are counted and not warned of (THREATS 23).
    const topic = packet.topic.slice(0, TOPIC_SHOWN_MAX);
    this.#options.log.debug("broker.message.dropped", { reason, topic });
    if (packet.qos === 0 || packet.messageId === undefined) return;
    window.admit(packet.messageId, 0, (slot) => window.settle(slot));
  }
}
