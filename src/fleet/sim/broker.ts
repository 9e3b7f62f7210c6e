/**
 * The broker between a gateway's two halves: what gateway/broker.ts and aedes do together.
 *
 *   CONNECT judged → name claimed, an older session ends → CONNACK 0 → packets, one after another
 *
 * The decisions are production's own (who may connect, publish, subscribe; the
 * ack seam; the downlink); this is the protocol around them.
 * @module
 */
import {
  CONNACK,
  type Downlink,
  type GatewayClient,
  type Ingest,
  judgeConnect,
  maySubscribe,
  topicsOf,
  type Uplink,
} from "../../../gateway/without-sockets.ts";
import { assert, deviceName, type Timer } from "../../core/index.ts";
import type { HistorySink } from "../oracle/sinks.ts";
import type { Life } from "./life.ts";
import { SimSocket } from "./socket.ts";
import type { UpPacket, Wire } from "./wire.ts";

/** [MQTT-3.1.2-24] a client that is silent for one and a half times its keepalive is gone. */
const KEEPALIVE_FACTOR = 1_500;
const RULES = { keepaliveSMin: 5, keepaliveSMax: 3_600, usernameRequired: true };

/** What the broker's emitter has listeners for. */
type Listener = (...args: never[]) => void;

export interface BrokerOptions {
  readonly gateway: string;
  readonly life: Life;
  readonly ingest: Ingest;
  readonly downlink: Downlink;
  readonly sink: HistorySink;
}

export class SimBroker {
  readonly #options: BrokerOptions;
  readonly #live = new Map<string, SimSession>();
  readonly #listeners = new Map<string, Listener[]>();

  constructor(options: BrokerOptions) {
    this.#options = options;
    // The downlink only listens; it gets the one method that it calls.
    options.downlink.attach({
      on: (event: string, act: Listener) => this.#on(event, act),
    } as never);
  }

  accept(wire: Wire): void {
    const session = new SimSession(this, this.#options, wire);
    wire.accept(this.#options.life, {
      packet: (packet) => session.take(packet),
      closed: () => session.close(),
    });
  }

  /** [MQTT-3.1.4-2] The newer session of a name ends the older one. */
  claim(name: string, session: SimSession): void {
    const older = this.#live.get(name);
    this.#live.set(name, session);
    if (older !== session) older?.close();
  }

  gone(name: string, session: SimSession): void {
    if (this.#live.get(name) === session) this.#live.delete(name);
  }

  emit(event: "client" | "subscribe" | "unsubscribe", ...args: unknown[]): void {
    for (const act of this.#listeners.get(event) ?? []) act(...(args as never[]));
  }

  #on(event: string, act: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), act]);
  }
}

class SimSession {
  readonly #broker: SimBroker;
  readonly #options: BrokerOptions;
  readonly #wire: Wire;
  readonly #socket: SimSocket;
  #session: GatewayClient | null = null;
  #uplink: Uplink | null = null;
  #keepaliveMs = 0;
  #keepalive: Timer | null = null;
  #paused = false;
  #unread: UpPacket[] = [];
  readonly #codecTopics = new Set<string>();

  constructor(broker: SimBroker, options: BrokerOptions, wire: Wire) {
    this.#broker = broker;
    this.#options = options;
    this.#wire = wire;
    const { gateway, sink } = options;
    this.#socket = new SimSocket(wire, (packet) =>
      sink.record({ kind: "puback", gateway, connection: wire.number, packet }),
    );
  }

  take(packet: UpPacket): void {
    if (this.#paused) this.#unread.push(packet);
    else this.#handle(packet);
  }

  #handle(packet: UpPacket): void {
    if (this.#socket.destroyed) return;
    this.#stayAlive();
    switch (packet.cmd) {
      case "connect":
        this.#connect(packet);
        break;
      case "publish":
        this.#publish(packet);
        break;
      case "subscribe":
        this.#subscribe(packet);
        break;
      case "unsubscribe":
        if (this.#session) this.#broker.emit("unsubscribe", packet.topics, this.#session.client);
        break;
      case "puback":
        this.#puback(packet.id);
        break;
      case "pingreq":
        this.#wire.sendDown({ cmd: "pingresp" });
        break;
      case "disconnect":
        this.close();
        break;
    }
  }

  #connect(packet: Extract<UpPacket, { cmd: "connect" }>): void {
    const { clientId, username, keepaliveS } = packet;
    const request = { clientId, username, keepaliveS, hasWill: false, certificate: null };
    const judged = judgeConnect(request, RULES);
    if (!judged.ok) {
      this.#wire.sendDown({ cmd: "connack", code: judged.code });
      this.#socket.destroy();
      return;
    }
    const { key } = judged;
    const name = deviceName(key);
    const { gateway, ingest, downlink, sink } = this.#options;
    const client = this.#client(name);
    this.#keepaliveMs = keepaliveS * KEEPALIVE_FACTOR;
    this.#broker.claim(name, this);
    this.#broker.emit("client", client);
    sink.record({
      kind: "session",
      gateway,
      connection: this.#wire.number,
      device: name,
      open: true,
    });
    this.#wire.sendDown({ cmd: "connack", code: CONNACK.accepted });
    this.#session = { name, key, client };
    this.#uplink = ingest.open(this.#session, topicsOf(key), {
      conn: this.#socket as never,
      pause: () => {
        this.#paused = true;
      },
      resume: () => this.#resume(),
      close: () => this.close(),
    });
    downlink.onClientReady(this.#session);
    this.#stayAlive();
  }

  /** What our own code touches of aedes' client. */
  #client(name: string): GatewayClient["client"] {
    const client = {
      id: name,
      clean: true,
      closed: false,
      conn: this.#socket,
      close: () => this.close(),
    };
    return client as never;
  }

  #publish({ id, topic, payload }: Extract<UpPacket, { cmd: "publish" }>): void {
    if (this.#uplink === null) {
      this.close();
      return;
    }
    const { gateway, ingest, sink } = this.#options;
    sink.record({ kind: "receive", gateway, connection: this.#wire.number, packet: id });
    const packet = { topic, qos: 1 as 0 | 1 | 2, retain: false, messageId: id, payload };
    ingest.take(this.#uplink, packet, (error) => {
      if (error) this.close();
      else assert(packet.qos === 0, "a packet that was taken is not acknowledged by the broker");
    });
  }

  #subscribe({ id, topics }: Extract<UpPacket, { cmd: "subscribe" }>): void {
    const session = this.#session;
    if (session === null) return;
    const granted = topics.map((topic) =>
      maySubscribe(topicsOf(session.key), topic, this.#codecTopics),
    );
    this.#wire.sendDown({ cmd: "suback", id, granted });
    const subscriptions = topics.map((topic, index) => ({ topic, qos: granted[index] ? 1 : 128 }));
    this.#broker.emit("subscribe", subscriptions, session.client);
  }

  #puback(messageId: number): void {
    if (this.#session === null) return;
    const { persistence } = this.#options.downlink;
    void persistence.outgoingClearMessageId(this.#session.client, { cmd: "puback", messageId });
  }

  #resume(): void {
    this.#paused = false;
    while (!this.#paused) {
      const packet = this.#unread.shift();
      if (packet === undefined) return;
      this.#handle(packet);
    }
  }

  #stayAlive(): void {
    this.#keepalive?.cancel();
    if (this.#keepaliveMs === 0) return;
    this.#keepalive = this.#options.life.after(this.#keepaliveMs, () => this.close());
  }

  /** Ends the connection; the books are closed as after aedes' own close event. */
  close(): void {
    if (this.#socket.destroyed) return;
    this.#keepalive?.cancel();
    if (this.#session !== null) (this.#session.client as { closed: boolean }).closed = true;
    this.#socket.destroy();
    this.#uplink?.window.close();
    const session = this.#session;
    if (session === null) return;
    const { gateway, downlink, sink } = this.#options;
    const { name: device } = session;
    this.#broker.gone(device, this);
    downlink.onClientGone(session);
    sink.record({ kind: "session", gateway, connection: this.#wire.number, device, open: false });
  }
}
