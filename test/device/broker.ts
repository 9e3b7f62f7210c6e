/**
 * A bare MQTT broker with the server model behind it: real sockets, no product code.
 * @module
 */
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { Aedes } from "aedes";
import { type DeviceKey, limits } from "../../src/core/index.ts";
import { codecTopicOf, peekFrame, topicOf } from "../../src/wire/index.ts";
import type { Certs } from "../support/certs.ts";
import type { ServerModel } from "./server-model.ts";

export interface TestBroker {
  readonly port: number;
  readonly url: string;
  /** Up frames in order of arrival, resends included. */
  readonly frames: Uint8Array[];
  /** Client ids of every CONNECT, with its username and password. */
  readonly logins: {
    readonly username: string | undefined;
    readonly password: string | undefined;
  }[];
  /** Return code for the next CONNECTs; 0 accepts. */
  connack: number;
  /** Publishes are accepted only while this is false. */
  holding: boolean;
  /** Whether SUBSCRIBE is granted. */
  subscribing: boolean;
  /** Connections that stand right now. */
  clients(): number;
  /** Called on every PUBACK of a device. */
  onAck: () => void;
  /** Everything heard in order of arrival: topics that were subscribed to, `up` for a frame. */
  readonly heard: string[];
  /** Sends the model's codec models, its problems and its down frames, retained. */
  publish(): Promise<void>;
  /** Serves a stream that came another way. */
  handle(stream: Duplex): void;
  /** Cuts every connection but keeps listening. */
  cut(): void;
  close(): Promise<void>;
}

export async function startBroker(
  model: ServerModel,
  key: DeviceKey,
  port = 0,
  certs?: Certs,
): Promise<TestBroker> {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    aedes.handle(socket);
  };
  const server: Server =
    certs === undefined
      ? createServer(serve)
      : createTlsServer(
          { cert: readFileSync(certs.certFile), key: readFileSync(certs.keyFile) },
          serve,
        );
  const broker = {
    frames: [] as Uint8Array[],
    heard: [] as string[],
    logins: [] as { username: string | undefined; password: string | undefined }[],
    onAck: (): void => {},
    connack: 0,
    holding: false,
    subscribing: true,
  };
  aedes.authenticate = (_client, username, password, done) => {
    broker.logins.push({ username, password: password?.toString() });
    if (broker.connack === 0) done(null, true);
    else done(Object.assign(new Error("refused"), { returnCode: broker.connack }), false);
  };
  const send = (topic: string, payload: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      const packet = { cmd: "publish" as const, topic, payload: Buffer.from(payload) };
      const retain = topic !== topicOf(key, "err");
      aedes.publish({ ...packet, qos: 1, retain, dup: false }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  const publish = async () => {
    for (const [version, frame] of model.modelFrames) {
      await send(codecTopicOf({ tenant: key.tenant, version }), frame);
    }
    const problems = model.err();
    if (problems !== null) await send(topicOf(key, "err"), problems);
    for (const frame of model.downs()) await send(topicOf(key, "down"), frame);
  };
  aedes.authorizePublish = (client, packet, done) => {
    if (client === null || packet.topic !== topicOf(key, "up")) return done(null);
    const bytes = new Uint8Array(packet.payload as Buffer);
    broker.frames.push(bytes);
    broker.heard.push("up");
    if (broker.holding) return; // Neither PUBACK nor anything else: a gateway that hangs.
    model.receive(bytes);
    done(null);
    const pull = peekFrame(bytes, limits.UP_FRAME_BYTES_MAX).header.kind === "pull";
    if (pull) void publish();
  };
  aedes.authorizeSubscribe = (_client, subscription, done) => {
    broker.heard.push(subscription.topic);
    done(null, broker.subscribing ? subscription : null);
  };
  aedes.on("ack", () => broker.onAck());
  await publish();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : 0;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const close = async () => {
    cut();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
  };
  const url = `${certs === undefined ? "mqtt" : "mqtts"}://127.0.0.1:${bound}`;
  const clients = () => aedes.connectedClients;
  const handle = (stream: Duplex) => {
    aedes.handle(stream);
  };
  return Object.assign(broker, { port: bound, url, clients, publish, handle, cut, close });
}
