/**
 * An MQTT 3.1.1 client that does nothing by itself: it sends what it is told,
 * byte for byte if need be, and keeps everything it hears.
 * @module
 */
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { generate, type Packet, parser } from "mqtt-packet";

export interface ConnectFields {
  readonly clientId?: string;
  readonly username?: string;
  readonly password?: string | Buffer;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly protocolVersion?: 3 | 4 | 5;
  readonly will?: { topic: string; payload: Buffer; qos?: 0 | 1 | 2; retain?: boolean };
}

export const upTopic = (device: string, tenant = "default") => `omega/v1/${tenant}/d/${device}/up`;
export const downTopic = (device: string, tenant = "default") =>
  `omega/v1/${tenant}/d/${device}/down`;

export class RawClient {
  readonly stream: Duplex;
  readonly heard: Packet[] = [];
  /** Every byte received. */
  readonly bytes: Buffer[] = [];
  /** Resolves when the stream is closed, by whichever side. */
  readonly closed: Promise<void>;
  readonly #counts = new Map<string, number>();
  #isClosed = false;
  readonly #waiting: { check: () => boolean; settle: () => void }[] = [];

  constructor(stream: Duplex) {
    this.stream = stream;
    const parsing = parser({ protocolVersion: 4 });
    parsing.on("packet", (packet) => {
      this.heard.push(packet);
      this.#counts.set(packet.cmd, this.count(packet.cmd) + 1);
      this.#look();
    });
    parsing.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      this.bytes.push(chunk);
      parsing.parse(chunk);
    });
    stream.on("error", () => {});
    this.closed = new Promise((resolve) => {
      stream.once("close", () => {
        this.#isClosed = true;
        this.#look();
        resolve();
      });
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** Resolves when `check` holds; rejects when the connection ends first, or after 10 s. */
  until(check: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what}: ${this.#story()}`)), 10_000);
      const entry = {
        check: () => check() || this.#isClosed,
        settle: () => {
          clearTimeout(timer);
          if (check()) resolve();
          else reject(new Error(`closed before ${what}: ${this.#story()}`));
        },
      };
      this.#waiting.push(entry);
      this.#look();
    });
  }

  all(cmd: Packet["cmd"]): Packet[] {
    return this.heard.filter((packet) => packet.cmd === cmd);
  }

  count(cmd: Packet["cmd"]): number {
    return this.#counts.get(cmd) ?? 0;
  }

  /** Waits for the `count`-th packet of a kind. */
  async next(cmd: Packet["cmd"], count = 1): Promise<Packet> {
    await this.until(() => this.count(cmd) >= count, `${count} × ${cmd}`);
    return this.all(cmd)[count - 1] as Packet;
  }

  pubacks(): number[] {
    return this.all("puback").map((packet) => packet.messageId ?? 0);
  }

  /** The return code of the CONNACK. */
  async connack(): Promise<number> {
    return ((await this.next("connack")) as { returnCode: number }).returnCode;
  }

  end(): void {
    this.stream.destroy();
  }

  #look(): void {
    for (const entry of [...this.#waiting]) {
      if (!entry.check()) continue;
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.settle();
    }
  }

  #story(): string {
    return this.heard.map((packet) => packet.cmd).join(" ") || "heard nothing";
  }
}

export async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

export async function openRaw(port: number): Promise<RawClient> {
  return new RawClient(await openSocket(port));
}

export function connectBytes(fields: ConnectFields = {}): Buffer {
  const { clientId = "tv1", clean = true, keepalive = 60, protocolVersion = 4 } = fields;
  const { username, password, will } = fields;
  return generate({
    cmd: "connect",
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion,
    clientId,
    clean,
    keepalive,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
  });
}

export function publishBytes(
  messageId: number,
  fields: {
    topic?: string;
    payload?: Buffer;
    qos?: 0 | 1 | 2;
    retain?: boolean;
    dup?: boolean;
  } = {},
): Buffer {
  const { topic = upTopic("tv1"), payload = Buffer.alloc(64), qos = 1 } = fields;
  const { retain = false, dup = false } = fields;
  return generate({ cmd: "publish", topic, payload, qos, retain, dup, messageId });
}

export function subscribeBytes(messageId: number, topics: readonly string[]): Buffer {
  const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
  return generate({ cmd: "subscribe", messageId, subscriptions });
}

export const PINGREQ = Buffer.of(0xc0, 0x00);
export const DISCONNECT = Buffer.of(0xe0, 0x00);

/** Connects and waits for CONNACK 0. */
export async function openSession(port: number, fields: ConnectFields = {}): Promise<RawClient> {
  const client = await openRaw(port);
  client.send(connectBytes(fields));
  const code = await client.connack();
  if (code !== 0) throw new Error(`CONNACK ${code}`);
  return client;
}
