/**
 * A small world for the downlink's tests: real aedes on a real socket, the real
 * downlink, a source that counts what it is asked, and devices that speak raw
 * MQTT so that a test sees every flag and packet id.
 * @module
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Client } from "aedes";
import { Aedes } from "aedes";
import mqttPacket, { type IConnackPacket, type IPublishPacket, type Packet } from "mqtt-packet";
import { maySubscribe, topicsOf } from "../../gateway/acl.ts";
import { Downlink, type DownlinkLimits } from "../../gateway/downlink.ts";
import type {
  DeviceView,
  DownlinkSource,
  ReleaseListener,
  Renditions,
} from "../../gateway/ports.ts";
import {
  type Clock,
  type DeviceKey,
  deviceName,
  parseDeviceName,
  seededRandom,
  systemClock,
} from "../../src/core/index.ts";
import { createMetrics, silentLogger } from "../../src/observe/index.ts";
import {
  buildLadder,
  codec0,
  codecTopicOf,
  decodeRefusal,
  decodeRelease,
  emptyLadder,
  encodePull,
  GRID,
  type Ladder,
  type Ladder1,
  loadZstd,
  type Problem,
  peekFrame,
  quantiseRelease,
  type Release,
  topicOf,
} from "../../src/wire/index.ts";

const zstd = await loadZstd();
export const TENANT = "acme";
export const keyOf = (device: string): DeviceKey => ({ tenant: TENANT, device });

/** A release whose vectors change a little with every version. */
export function releaseOf(version: number, patternCount = 6, dim = 8): Release {
  const patterns = Array.from({ length: patternCount }, (_, index) => ({
    id: `pattern-${String(index).padStart(4, "0")}`,
    weight: 10 + index,
    devices: 3,
    // Only the first pattern moves, so a difference is smaller than the snapshot.
    vector: Int16Array.from({ length: dim }, (_, axis) =>
      Math.round(
        (GRID / 4) * Math.sin(1 + index * 31 + axis * 7 + (index === 0 ? version * 0.37 : 0)),
      ),
    ),
  }));
  const trends = [{ id: `movie-${version}`, score: 700 }];
  return quantiseRelease({ version, dim, patterns, trends }, codec0);
}

export function ladderOf(version: number, patternCount = 6, dim = 8): Ladder {
  if (version === 0) return emptyLadder(TENANT, dim, zstd);
  const bases = [version - 1, version - 2].filter((base) => base > 0);
  return buildLadder(
    TENANT,
    releaseOf(version, patternCount, dim),
    bases.map((base) => releaseOf(base, patternCount, dim)),
    codec0,
    zstd,
  );
}

/**
 * A ladder of rendition 1 whose bodies are `parts` distinct bytes: a gateway never looks into them.
 * The snapshot has one part more than the differences to the two versions before.
 */
export function ladder1Of(version: number, parts = 2): Ladder1 {
  const bodies = (base: number, count: number) =>
    Array.from({ length: count }, (_, index) => ({
      compressed: index === 0,
      bytes: Uint8Array.of(version, base, index + 1, 0xff),
    }));
  const bases = [version - 1, version - 2].filter((base) => base > 0);
  return {
    tenant: TENANT,
    version,
    contentHash: new Uint8Array(8).fill(version),
    model: 7,
    snapshot: bodies(0, parts + 1),
    deltas: new Map(bases.map((base) => [base, bodies(base, parts)])),
  };
}

export const problemAt = (seq: number, reason = "frame.truncated"): Problem => ({
  reason,
  title: "The frame ended early.",
  position: { epoch: 1, seq },
});

/** A source with its answers in memory, which counts look-ups and can fail or freeze. */
export class SourceDouble implements DownlinkSource {
  readonly viewsOf = new Map<string, DeviceView>();
  readonly renditions = new Map<string, Renditions>();
  readonly viewCalls: string[][] = [];
  /** Encoded models by codec topic. */
  readonly models = new Map<string, Uint8Array>();
  readonly modelCalls: string[] = [];
  ladderCalls = 0;
  failure: Error | null = null;
  /** While set, answers wait for it. */
  gate: Promise<void> | null = null;
  #listener: ReleaseListener | null = null;

  async ladders(tenant: string): Promise<Renditions> {
    this.ladderCalls += 1;
    await this.#answer();
    return this.renditions.get(tenant) ?? { ladder: emptyLadder(tenant, 8, zstd), ladder1: null };
  }

  async views(keys: readonly DeviceKey[]): Promise<DeviceView[]> {
    const names = keys.map(deviceName);
    this.viewCalls.push(names);
    await this.#answer();
    return names.map((name) => this.viewsOf.get(name) ?? { base: 0, applied: null, problems: [] });
  }

  async model(tenant: string, version: number): Promise<Uint8Array | null> {
    const topic = codecTopicOf({ tenant, version });
    this.modelCalls.push(topic);
    await this.#answer();
    return this.models.get(topic) ?? null;
  }

  async watch(listener: ReleaseListener): Promise<() => Promise<void>> {
    this.#listener = listener;
    return async () => {
      this.#listener = null;
    };
  }

  get watched(): boolean {
    return this.#listener !== null;
  }

  setView(device: string, view: Partial<DeviceView>): void {
    const name = deviceName(keyOf(device));
    const former = this.viewsOf.get(name) ?? { base: 0, applied: null, problems: [] };
    this.viewsOf.set(name, { ...former, ...view });
  }

  /** Publishes a release; `silently` loses the notification. */
  release(
    ladder: Ladder,
    how: { readonly silently?: boolean; readonly ladder1?: Ladder1 } = {},
  ): void {
    this.renditions.set(ladder.tenant, { ladder, ladder1: how.ladder1 ?? null });
    if (how.silently !== true) this.#listener?.onRelease(ladder.tenant, ladder.version);
  }

  notifyProblems(device: string): void {
    this.#listener?.onProblems(keyOf(device));
  }

  async #answer(): Promise<void> {
    await this.gate;
    if (this.failure !== null) throw this.failure;
  }
}

export interface World {
  readonly port: number;
  readonly source: SourceDouble;
  readonly downlink: Downlink;
  readonly broker: Aedes;
  metrics(): Promise<string>;
  device(id: string, options?: ConnectOptions): Promise<RawDevice>;
  close(): Promise<void>;
}

/** Pacing, jitter and polling off, so that a test meets nothing but what it is about. */
const PROMPT: Partial<DownlinkLimits> = {
  jitterMsMax: 0,
  fanoutPerS: 1e6,
  pollMs: 1e8,
  refreshMs: 1e8,
  gatherMs: 0,
};

export async function startWorld(
  options: { clock?: Clock; limits?: Partial<DownlinkLimits> } = {},
): Promise<World> {
  const source = new SourceDouble();
  const metrics = createMetrics();
  const downlink = new Downlink({
    source,
    clock: options.clock ?? systemClock,
    random: seededRandom(7),
    log: silentLogger,
    metrics,
    limits: { ...PROMPT, ...options.limits },
  });
  const broker = await startBroker(downlink);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    broker.handle(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await downlink.start();
  const devices: RawDevice[] = [];
  return {
    port,
    source,
    downlink,
    broker,
    metrics: () => metrics.render(),
    async device(id, connectOptions = {}) {
      const device = await RawDevice.connect(port, id, connectOptions);
      devices.push(device);
      return device;
    },
    async close() {
      for (const device of devices) device.drop();
      await downlink.stop();
      await new Promise<void>((done) => broker.close(() => done()));
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

/** What the gateway's uplink half does for the downlink, in its smallest form. */
async function startBroker(downlink: Downlink): Promise<Aedes> {
  const described = (client: Client) => ({
    name: client.id,
    key: parseDeviceName(client.id),
    client,
  });
  const broker = await Aedes.createBroker({
    persistence: downlink.persistence,
    preConnect(_client, packet, done) {
      packet.clientId = `${TENANT}/${packet.clientId}`;
      done(null, true);
    },
    authorizeSubscribe(client, subscription, done) {
      const key = parseDeviceName(client.id);
      const granted = maySubscribe(topicsOf(key), subscription.topic, new Set());
      // A stricter ACL than the real one, for a device whose own topics are refused.
      done(null, granted && key.device !== "banned" ? subscription : null);
    },
    authorizePublish(client, packet, done) {
      if (client !== null) {
        const { header } = peekFrame(packet.payload as Buffer, 65_536);
        if (header.kind === "pull" || header.kind === "delta") {
          const { base, minor = 0 } = header;
          const tell = header.kind === "pull" ? downlink.onPull : downlink.onUpHeader;
          tell.call(downlink, described(client), { base, minor });
        }
      }
      done(null);
    },
  });
  downlink.attach(broker);
  broker.on("clientReady", (client) => downlink.onClientReady(described(client)));
  broker.on("clientDisconnect", (client) => downlink.onClientGone(described(client)));
  broker.on("clientError", () => {});
  broker.on("connectionError", () => {});
  return broker;
}

export interface ConnectOptions {
  readonly clean?: boolean;
  /** Answer each QoS 1 PUBLISH with its PUBACK, default true. */
  readonly acks?: boolean;
}

/** A device that speaks raw MQTT 3.1.1. */
export class RawDevice {
  readonly id: string;
  readonly received: Packet[] = [];
  readonly #socket: Socket;
  readonly #acks: boolean;
  readonly #waiting = new Set<() => void>();
  #packetId = 0;
  closed = false;
  /** Whether CONNACK said that there was a session. */
  session = false;

  constructor(id: string, socket: Socket, acks: boolean) {
    this.id = id;
    this.#socket = socket;
    this.#acks = acks;
    const parser = mqttPacket.parser();
    parser.on("packet", (packet) => this.#take(packet));
    socket.on("data", (chunk) => parser.parse(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  static async connect(port: number, id: string, options: ConnectOptions): Promise<RawDevice> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const device = new RawDevice(id, socket, options.acks ?? true);
    device.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clientId: id,
      clean: options.clean ?? true,
      keepalive: 60,
      username: deviceName(keyOf(id)),
    });
    const connack = (await device.next("connack")) as IConnackPacket;
    device.session = connack.sessionPresent;
    return device;
  }

  send(packet: Packet): void {
    this.#socket.write(mqttPacket.generate(packet));
  }

  topic(direction: "up" | "down" | "err"): string {
    return topicOf(keyOf(this.id), direction);
  }

  codec(version: number): string {
    return codecTopicOf({ tenant: TENANT, version });
  }

  /** Subscribes and returns the granted codes. */
  async subscribe(...topics: (string | { topic: string; qos: 0 | 1 | 2 })[]): Promise<unknown[]> {
    this.send({
      cmd: "subscribe",
      messageId: this.#nextId(),
      subscriptions: topics.map((topic) => (typeof topic === "string" ? { topic, qos: 1 } : topic)),
    });
    return ((await this.next("suback")) as { granted: unknown[] }).granted;
  }

  async unsubscribe(...topics: string[]): Promise<void> {
    this.send({ cmd: "unsubscribe", messageId: this.#nextId(), unsubscriptions: topics });
    await this.next("unsuback");
  }

  /** Publishes a pull and waits for its PUBACK. */
  async pull(base: number, minor = 0): Promise<void> {
    this.publishUp(encodePull(base, { minor }));
    await this.next("puback");
  }

  publishUp(payload: Uint8Array): void {
    this.send({
      cmd: "publish",
      topic: this.topic("up"),
      payload: Buffer.from(payload),
      qos: 1,
      dup: false,
      retain: false,
      messageId: this.#nextId(),
    });
  }

  ack(packet: IPublishPacket): void {
    if (packet.messageId !== undefined) this.send({ cmd: "puback", messageId: packet.messageId });
  }

  /** The next packet of this kind not yet taken; fails when the connection ends first. */
  async next(cmd: Packet["cmd"]): Promise<Packet> {
    for (;;) {
      for (let at = 0; at < this.received.length; at += 1) {
        const packet = this.received[at];
        if (packet?.cmd !== cmd) continue;
        this.received.splice(at, 1);
        return packet;
      }
      if (this.closed) throw new Error(`${this.id}: closed while waiting for ${cmd}`);
      await new Promise<void>((wake) => this.#waiting.add(wake));
    }
  }

  async nextPublish(): Promise<IPublishPacket> {
    return (await this.next("publish")) as IPublishPacket;
  }

  async nextDown(): Promise<IPublishPacket> {
    const packet = await this.nextPublish();
    if (packet.topic !== this.topic("down")) throw new Error(`expected down: got ${packet.topic}`);
    return packet;
  }

  /** A PINGREQ's answer comes after everything the gateway had already decided to send. */
  async ping(): Promise<void> {
    this.send({ cmd: "pingreq" });
    await this.next("pingresp");
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await new Promise<void>((wake) => this.#waiting.add(wake));
  }

  /** Stops reading: what arrives stays in the kernel. */
  freeze(): void {
    this.#socket.pause();
  }

  /** Cuts the connection without DISCONNECT. */
  drop(): void {
    this.#socket.destroy();
  }

  #take(packet: Packet): void {
    this.received.push(packet);
    if (packet.cmd === "publish" && packet.qos === 1 && this.#acks) this.ack(packet);
    this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #nextId(): number {
    this.#packetId += 1;
    return this.#packetId;
  }
}

export const headerOf = (packet: IPublishPacket) =>
  peekFrame(packet.payload as Buffer, 65_536).header;

export const releaseIn = (packet: IPublishPacket, held: Release | null = null) =>
  decodeRelease(peekFrame(packet.payload as Buffer, 65_536), held, zstd);

export const problemsIn = (packet: IPublishPacket) =>
  decodeRefusal(peekFrame(packet.payload as Buffer, 65_536), zstd);
