/**
 * One connection of a light device: TCP, TLS or WebSocket, as little of it as there can be.
 * @module
 */
import { connect as connectTcp, isIPv4, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { isLoopback } from "../../core/index.ts";

export interface Target {
  readonly protocol: "mqtt" | "mqtts" | "ws" | "wss";
  readonly host: string;
  readonly port: number;
  /** Of a WebSocket. */
  readonly path: string;
  /** PEM of the authority to trust; null: those of the system. */
  readonly ca: string | null;
}

export interface Wire {
  write(bytes: Uint8Array): void;
  /** Closes after what was written has left. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface WireEvents {
  readonly opened: () => void;
  readonly data: (chunk: Buffer) => void;
  /** Once, whoever closed it, and when it never opened. */
  readonly closed: () => void;
}

const PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const;
/** One address has some 28,000 ephemeral ports on Linux; loopback has 16 million addresses. */
const DEVICES_PER_ADDRESS = 20_000;

/** The target that `text` names; null when it is no URL of a broker. */
export function parseTarget(text: string, ca: string | null): Target | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const protocol = url?.protocol.slice(0, -1) ?? "";
  if (url === null || !Object.hasOwn(PORTS, protocol) || url.hostname === "") return null;
  const known = protocol as keyof typeof PORTS;
  return {
    protocol: known,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? PORTS[known] : Number(url.port),
    path: url.pathname === "/" || url.pathname === "" ? "/mqtt" : url.pathname,
    ca,
  };
}

/** Opens connections to one target and keeps the TLS session that lets the next one resume. */
export class Opener {
  readonly #target: Target;
  #session: Buffer | undefined;
  /** TLS handshakes that were resumptions. */
  resumed = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  open(device: number, events: WireEvents): Wire {
    switch (this.#target.protocol) {
      case "mqtt":
        return this.#openTcp(device, events);
      case "mqtts":
        return this.#openTls(device, events);
      case "ws":
      case "wss":
        return this.#openWebSocket(device, events);
    }
  }

  /** The address that a device speaks from; the system's choice for the first ones. */
  #from(device: number): { localAddress?: string } {
    const block = Math.floor(device / DEVICES_PER_ADDRESS);
    const { host } = this.#target;
    if (block === 0 || !isIPv4(host) || !isLoopback(host)) return {};
    return { localAddress: `127.0.1.${block}` };
  }

  #openTcp(device: number, events: WireEvents): Wire {
    const { host, port } = this.#target;
    const socket = connectTcp({ host, port, noDelay: true, ...this.#from(device) });
    socket.once("connect", events.opened);
    return wireOf(socket, events);
  }

  #openTls(device: number, events: WireEvents): Wire {
    const { host, port, ca } = this.#target;
    const socket = connectTls({
      ...{ host, port },
      ...this.#from(device),
      ...(ca === null ? {} : { ca }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    socket.setNoDelay(true);
    socket.on("session", (session) => {
      this.#session = session;
    });
    socket.once("secureConnect", () => {
      if ((socket as TLSSocket).isSessionReused()) this.resumed += 1;
      events.opened();
    });
    return wireOf(socket, events);
  }

  #openWebSocket(device: number, events: WireEvents): Wire {
    const { protocol, host, port, path, ca } = this.#target;
    const name = host.includes(":") ? `[${host}]` : host;
    const socket = new WebSocket(`${protocol}://${name}:${port}${path}`, "mqtt", {
      perMessageDeflate: false,
      ...this.#from(device),
      ...(ca === null ? {} : { ca }),
    });
    socket.once("open", events.opened);
    socket.on("message", (data) => events.data(data as Buffer));
    // "close" follows and says all that the run counts.
    socket.on("error", () => {});
    socket.once("close", events.closed);
    return {
      write: (bytes) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
      },
      end: () => socket.close(),
      destroy: () => socket.terminate(),
    };
  }
}

function wireOf(socket: Socket, events: WireEvents): Wire {
  socket.on("data", events.data);
  // "close" follows and says all that the run counts.
  socket.on("error", () => {});
  socket.once("close", events.closed);
  return {
    write: (bytes) => {
      if (!socket.destroyed) socket.write(bytes);
    },
    end: () => socket.end(),
    destroy: () => socket.destroy(),
  };
}
