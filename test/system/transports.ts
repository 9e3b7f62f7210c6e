/**
 * One byte stream to a gateway over TCP, TLS or WebSocket: MQTT is the same on all three.
 * @module
 */
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { createWebSocketStream, WebSocket } from "ws";
import {
  type ConnectFields,
  connectBytes,
  openSocket,
  RawClient,
} from "../gateway/uplink/raw-client.ts";
import { makeCerts } from "../support/certs.ts";
import { type Bench, type OmegaProcess, settings } from "./bench.ts";

export const TRANSPORTS = ["tcp", "tls", "ws"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** Settings that open all three, and the authority that signed the certificate. */
export function allTransports(bench: Bench): { args: string[]; caFile: string } {
  const { caFile, certFile, keyFile } = makeCerts(bench.dir.path);
  const args = settings({
    "gateway.tls.enabled": true,
    "gateway.tls.port": 0,
    "gateway.tls.certFile": certFile,
    "gateway.tls.keyFile": keyFile,
    "gateway.ws.enabled": true,
    "gateway.ws.port": 0,
  });
  return { args, caFile };
}

export function portOf(gateway: OmegaProcess, transport: Transport): number {
  return gateway.ready[transport]?.port ?? -1;
}

/** Opens the stream; nothing of MQTT is said yet. */
export async function openTransport(
  gateway: OmegaProcess,
  transport: Transport,
  caFile: string,
): Promise<RawClient> {
  const port = portOf(gateway, transport);
  if (transport === "tcp") return new RawClient(await openSocket(port));
  if (transport === "ws") {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt");
    const stream = createWebSocketStream(socket);
    const client = new RawClient(stream);
    // A half-open duplex never closes by itself when the other side has ended the WebSocket.
    stream.once("end", () => stream.destroy());
    await opened(socket, "open");
    return client;
  }
  const socket = connectTls({ port, host: "127.0.0.1", ca: readFileSync(caFile) });
  await opened(socket, "secureConnect");
  return new RawClient(socket);
}

function opened(source: Duplex | WebSocket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    source.once(event, () => resolve());
    source.once("error", reject);
  });
}

/** Opens the stream and logs in; throws unless CONNACK says 0. */
export async function logIn(
  open: () => Promise<RawClient>,
  fields: ConnectFields,
): Promise<RawClient> {
  const client = await open();
  client.send(connectBytes(fields));
  const code = await client.connack();
  if (code !== 0) throw new Error(`CONNACK ${code}`);
  return client;
}
