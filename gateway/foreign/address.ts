/**
 * Where another broker listens and who we are to it.
 *
 *   mqtt://[user[:password]@]host[:1883]     mqtts://…[:8883]
 * @module
 */
import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { InvalidConfigError, messageOf } from "../../src/core/index.ts";

export interface ForeignBrokerOptions {
  /** `mqtt://` or `mqtts://`; a user and password in it give way to the two below. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM file of the authorities to trust instead of the system's; for mqtts. */
  readonly caFile?: string;
}

export interface ForeignAddress {
  /** Without credentials, for words and logs. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly username: string | null;
  readonly password: Buffer | null;
  /** The PEM to trust, or null for the system's authorities; absent without TLS. */
  readonly tls?: { readonly ca: Buffer | null };
}

const PORTS: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883 };

/** Throws `InvalidConfigError`, whose words hold no credentials. */
export function foreignAddress(options: ForeignBrokerOptions): ForeignAddress {
  const url = URL.canParse(options.url) ? new URL(options.url) : null;
  const port = PORTS[url?.protocol ?? ""];
  if (url === null || port === undefined || url.hostname === "") {
    throw new InvalidConfigError(["broker.url must be mqtt://HOST:PORT or mqtts://HOST:PORT"]);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const actualPort = url.port === "" ? port : Number(url.port);
  const username = options.username ?? decodeURIComponent(url.username);
  const password = options.password ?? decodeURIComponent(url.password);
  return {
    name: `${url.protocol}//${url.hostname}:${actualPort}`,
    host,
    port: actualPort,
    username: username === "" ? null : username,
    password: password === "" ? null : Buffer.from(password),
    ...(url.protocol === "mqtts:" ? { tls: { ca: authorities(options.caFile) } } : {}),
  };
}

function authorities(file: string | undefined): Buffer | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new InvalidConfigError([`broker.caFile cannot be read: ${messageOf(error)}`]);
  }
}

/** A socket to `address` that is still connecting, and the event that says it has. */
export function dial({ host, port, tls }: ForeignAddress): {
  readonly socket: Socket;
  readonly opened: "connect" | "secureConnect";
} {
  if (tls === undefined) return { socket: connectTcp({ host, port }), opened: "connect" };
  const socket = connectTls({
    ...{ host, port },
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.ca === null ? {} : { ca: tls.ca }),
  });
  return { socket, opened: "secureConnect" };
}
