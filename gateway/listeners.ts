/**
 * Listeners: TCP, TLS and WebSocket, each of which ends in a byte stream that
 * speaks MQTT.
 *
 *   tcp  net.Server ─────────────────────────────────▶ stream
 *   tls  net.Server ─▶ tls.Server ───────────────────▶ stream
 *   ws   net.Server ─▶ [tls.Server] ─▶ HTTP upgrade ─▶ stream
 *
 * Every socket is accepted by a plain `net.Server` and waits at the door,
 * before TLS or HTTP spend anything on it.
 * @module
 */
import type { EventEmitter } from "node:events";
import {
  createServer as createHttpServer,
  Server as HttpServer,
  type IncomingMessage,
} from "node:http";
import { createServer as createNetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { createWebSocketStream, type WebSocket, WebSocketServer } from "ws";
import { type Clock, limits as coreLimits, messageOf, NetworkError } from "../src/core/index.ts";
import { addressOf, bind } from "./bind.ts";
import type { Arrival } from "./broker.ts";
import { certificateOf } from "./certificate.ts";
import { CONNACK, connackBytes } from "./connect.ts";
import type { Door, Entrance } from "./door.ts";
import {
  HTTP_HEADER_BYTES_MAX,
  type ReadGreeting,
  readConnect,
  readHello,
  readRequest,
} from "./greeting.ts";
import type { BoundAddress } from "./ports.ts";
import type { TlsFiles } from "./tls-files.ts";
import type { Trust } from "./trust.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

export interface ListenersOptions {
  readonly tcp?: ListenOptions;
  readonly tls?: ListenOptions & TlsFiles;
  /** `path`: the one HTTP path that upgrades, by default `/mqtt`; a query string is ignored. */
  readonly ws?: ListenOptions & { readonly path?: string; readonly tls?: TlsFiles };
}

export type ListenerKind = keyof ListenersOptions;

export interface ListenerEnvironment {
  readonly door: Door;
  readonly clock: Clock;
  readonly connectionsMax: number;
  readonly handshakeMs: number;
  readonly trust: Pick<Trust, "tlsContext">;
  /** Takes over a stream that speaks MQTT. */
  readonly accept: (stream: Duplex, arrival: Arrival) => void;
}

export interface Listener {
  readonly kind: ListenerKind;
  readonly address: BoundAddress;
  /** Accepts nothing new; sockets already accepted stay. Idempotent. */
  close(): Promise<void>;
}

/** [MQTT-6.0.0-3] The subprotocol a client must offer. */
const SUBPROTOCOL = "mqtt";
const PATH_DEFAULT = "/mqtt";
/** A WebSocket message may hold a whole packet with room, never more (P8). */
const MESSAGE_BYTES_MAX = 2 * coreLimits.PACKET_BYTES_MAX;
/** How long a socket that is told "busy" may take to read it. */
const BUSY_MS_MAX = 1_000;

/** The options of any kind of listener. */
type AnyOptions = NonNullable<ListenersOptions["ws"]> & Partial<TlsFiles>;

/** Binds one listener. Rejects with `NetworkError("gateway.listen")`. */
export async function listen(
  kind: ListenerKind,
  options: AnyOptions,
  environment: ListenerEnvironment,
): Promise<Listener> {
  const next = stages(kind, options, environment);
  const greeting = greetingOf(kind, options);
  // Paused until the door listens. A TCP peer's end is the guard's affair, which closes in its own time.
  const how = { noDelay: true, pauseOnConnect: true, allowHalfOpen: kind === "tcp" };
  const server = createNetServer(how, (socket) => {
    environment.door.enter(socket, {
      greeting,
      admit: (entrance, said) => next(socket, entrance, said),
      turnAway: () => (kind === "tcp" ? answerBusy(socket, environment.clock) : socket.destroy()),
    });
  });
  server.maxConnections = environment.connectionsMax;
  const { host, port } = options;
  await bind(server, options, (cause) => {
    const message = `cannot listen for ${kind} on ${host}:${port}: ${messageOf(cause)}`;
    return new NetworkError("gateway.listen", message, { cause });
  });
  let closing: Promise<void> | null = null;
  return {
    kind,
    address: addressOf(server),
    close() {
      // Resolves when the port is free, not when the last socket is gone: those are the broker's.
      closing ??= new Promise((resolve) => {
        server.close();
        setImmediate(resolve);
      });
      return closing;
    },
  };
}

function greetingOf(kind: ListenerKind, options: AnyOptions): ReadGreeting {
  if (kind === "tcp") return readConnect;
  return kind === "tls" || options.tls !== undefined ? readHello : readRequest;
}

/** What happens to a raw socket, which has said something already, on its way to a stream of MQTT. */
function stages(
  kind: ListenerKind,
  options: AnyOptions,
  environment: ListenerEnvironment,
): (socket: Socket, entrance: Entrance, said: Buffer) => void {
  const accept = (stream: Duplex, socket: Socket, entrance: Entrance, said?: Buffer) =>
    environment.accept(stream, {
      address: socket.remoteAddress ?? "",
      certificate: certificateOf(socket),
      due: entrance.due,
      onAccepted: entrance.accepted,
      ...(said === undefined ? {} : { said }),
    });
  if (kind === "tcp") return (socket, entrance, said) => accept(socket, socket, entrance, said);
  const entrances = new Map<string, Entrance>();
  const toBroker = (stream: Duplex, socket: Socket) => {
    const entrance = entrances.get(peerOf(socket));
    // Without one the socket is closed already.
    if (entrance !== undefined) accept(stream, socket, entrance);
  };
  const server = serverOf(kind, options, environment, toBroker);
  return (socket, entrance, said) => {
    if (socket.readableEnded) {
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    entrances.set(peer, entrance);
    socket.once("close", () => entrances.delete(peer));
    socket.unshift(said);
    server.emit("connection", socket);
    // TLS reads what is buffered by itself, HTTP waits until it flows.
    if (server instanceof HttpServer) socket.resume();
  };
}

/** The server whose event "connection" takes a socket of this kind; it calls `toBroker` in the end. */
function serverOf(
  kind: "tls" | "ws",
  options: AnyOptions,
  environment: ListenerEnvironment,
  toBroker: (stream: Duplex, socket: Socket) => void,
): EventEmitter {
  if (kind === "tls") {
    const server = tlsServer(options as TlsFiles, environment);
    return server.on("secureConnection", (socket) => toBroker(socket, socket));
  }
  const upgrades = upgradeServer(options.path ?? PATH_DEFAULT, toBroker);
  if (options.tls === undefined) return upgrades;
  const server = tlsServer(options.tls, environment);
  return server.on("secureConnection", (socket) => upgrades.emit("connection", socket));
}

/** CONNACK 3 to a CONNECT that nobody has judged, without a broker's connection for it. */
function answerBusy(socket: Socket, clock: Clock): void {
  const timer = clock.after(BUSY_MS_MAX, () => socket.destroy(), { background: true });
  socket.once("close", () => timer.cancel());
  socket.once("end", () => socket.destroy());
  socket.resume(); // Unread bytes would turn the close into a reset that eats the answer.
  socket.end(connackBytes(CONNACK.busy));
}

function tlsServer(files: TlsFiles, environment: ListenerEnvironment): TlsServer {
  const context = environment.trust.tlsContext(files, (renewed) =>
    server.setSecureContext(renewed),
  );
  const server = createTlsServer({
    ...context,
    handshakeTimeout: environment.handshakeMs,
    ...(files.caFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
  });
  // A handshake that fails is the peer's affair; its socket is destroyed by node:tls.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("secureConnection", (socket) => socket.setNoDelay(true));
  return server;
}

/** An HTTP server that knows one thing: upgrading `path` to MQTT over WebSocket (§6). */
function upgradeServer(path: string, toBroker: (stream: Duplex, socket: Socket) => void) {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  });
  const server = createHttpServer({ maxHeaderSize: HTTP_HEADER_BYTES_MAX }, (request, response) => {
    const status = pathOf(request) === path ? 426 : 404;
    const headers = status === 426 ? { upgrade: "websocket" } : {};
    response.writeHead(status, { connection: "close", ...headers }).end();
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => {});
    const refusal = refusalOf(request, path);
    if (refusal !== null) {
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      toBroker(binaryStream(webSocket), socket);
    });
  });
  return server;
}

/** The status line's end for an upgrade that is none of ours; null to go on. */
function refusalOf(request: IncomingMessage, path: string): string | null {
  if (pathOf(request) !== path) return "404 Not Found";
  return offeredProtocols(request).includes(SUBPROTOCOL) ? null : "400 Bad Request";
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "";
}

function offeredProtocols({ headers }: IncomingMessage): string[] {
  return (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
}

/** [MQTT-6.0.0-1] MQTT travels in binary frames; any other data frame ends the connection. */
function binaryStream(webSocket: WebSocket): Duplex {
  webSocket.on("message", (_data, isBinary) => {
    if (!isBinary) webSocket.terminate();
  });
  return createWebSocketStream(webSocket);
}

/** Names a socket among all of one listener: two live TCP connections never share address and port. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
