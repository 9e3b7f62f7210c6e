/**
 * A broker that says what the test tells it to, over a real socket, and remembers what it heard.
 * @module
 */
import { createServer, type Socket } from "node:net";
import mqttPacket, {
  type IConnackPacket,
  type IConnectPacket,
  type IPublishPacket,
  type Packet,
} from "mqtt-packet";
import { waitFor } from "../../support/wait.ts";

const MQTT5 = { protocolVersion: 5 } as const;

export class ScriptedBroker {
  /** The answer to the next CONNECTs. */
  connack: Omit<IConnackPacket, "cmd"> = { reasonCode: 0, sessionPresent: false };
  /** The answer to the next SUBSCRIBEs. */
  granted = 1;
  /** Whether our PUBLISHes are acknowledged. */
  acknowledging = true;
  readonly connects: IConnectPacket[] = [];
  /** Packet ids of the PUBACKs heard, of all connections. */
  readonly pubacks: number[] = [];
  readonly published: IPublishPacket[] = [];
  /** Connections that have ended. */
  ends = 0;
  readonly port: number;
  readonly #close: () => void;
  #socket: Socket | null = null;

  private constructor(port: number, close: () => void) {
    this.port = port;
    this.#close = close;
  }

  static async open(): Promise<ScriptedBroker> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      broker.#serve(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const broker = new ScriptedBroker(port, () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Sends a device's frame to the present member, with QoS 1. */
  deliver(topic: string, payload: Uint8Array, messageId: number, qos: 0 | 1 = 1): void {
    const message = { topic, payload: Buffer.from(payload), qos, messageId, retain: false };
    this.send({ cmd: "publish", dup: false, ...message });
  }

  send(packet: Packet): void {
    if (this.#socket === null) throw new Error("no member is connected");
    mqttPacket.writeToStream(packet, this.#socket, MQTT5);
  }

  /** Acknowledges what was published without it. */
  acknowledge(...messages: readonly IPublishPacket[]): void {
    for (const { messageId } of messages) {
      if (messageId !== undefined) this.send({ cmd: "puback", messageId, reasonCode: 0 });
    }
  }

  async heard(count: number): Promise<IPublishPacket[]> {
    await waitFor(() => this.published.length >= count, { what: `${count} messages` });
    return this.published;
  }

  close(): void {
    this.#close();
  }

  #serve(socket: Socket): void {
    this.#socket = socket;
    const parser = mqttPacket.parser(MQTT5);
    parser.on("packet", (packet) => this.#answer(packet, socket));
    socket.on("data", (chunk: Buffer) => parser.parse(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.ends += 1;
    });
  }

  #answer(packet: Packet, socket: Socket): void {
    const say = (answer: Packet) => mqttPacket.writeToStream(answer, socket, MQTT5);
    const messageId = packet.messageId ?? 0;
    if (packet.cmd === "connect") {
      this.connects.push(packet);
      say({ cmd: "connack", ...this.connack });
    } else if (packet.cmd === "subscribe") {
      say({ cmd: "suback", messageId, granted: [this.granted] });
    } else if (packet.cmd === "puback") this.pubacks.push(messageId);
    else if (packet.cmd === "publish") {
      this.published.push(packet);
      if (this.acknowledging) this.acknowledge(packet);
    }
  }
}
