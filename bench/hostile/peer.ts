/**
 * The attacker's end of one connection: it says bytes and hears when it is over.
 * @module
 */
import { connect, type Socket } from "node:net";
import { connectPacket } from "../../src/fleet/load/packets.ts";
import { until } from "../support/processes.ts";

/** Below the backlog of a listener: beyond it TCP itself waits a second before it tries again. */
const WAVE = 400;
const HOST = "127.0.0.1";
/** Of the connect flags in a CONNECT with a two-byte head, MQTT 3.1.1 §3.1.2.3. */
const FLAGS_AT = 9;
const CLEAN_SESSION = 0x02;
const KEEPALIVE_S = 3_600;

export class Peer {
  readonly socket: Socket;
  /** Milliseconds from the connection's begin to its end, once it has ended. */
  readonly ended: Promise<number>;
  /** Everything that was heard. */
  readonly #heard: Buffer[] = [];

  private constructor(socket: Socket, openedAtMs: number) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#heard.push(chunk));
    this.ended = new Promise((resolve) => {
      socket.once("close", () => resolve(performance.now() - openedAtMs));
    });
  }

  /** A connection that TCP has opened. Rejects when there is none. */
  static open(port: number): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: HOST, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        // "close" follows and says all that counts.
        socket.on("error", () => {});
        resolve(new Peer(socket, performance.now()));
      });
    });
  }

  /** A device's session, accepted. Rejects when it is not. */
  static async login(port: number, device: string, clean = true): Promise<Peer> {
    const peer = await Peer.open(port);
    const login = { username: `default/${device}`, password: null, keepaliveS: KEEPALIVE_S };
    const packet = connectPacket({ clientId: device, ...login });
    if (!clean) packet.writeUInt8(packet.readUInt8(FLAGS_AT) & ~CLEAN_SESSION, FLAGS_AT);
    peer.say(packet);
    await peer.hears(4);
    if (peer.heard[3] !== 0) throw new Error(`${device} was refused with ${peer.heard[3]}`);
    return peer;
  }

  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  say(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** Resolves when so many bytes have come. Rejects after 30 s. */
  async hears(bytes: number): Promise<void> {
    await until("an answer", () => this.heard.length >= bytes);
  }

  leave(): void {
    this.socket.destroy();
  }
}

/** So many connections, all of which TCP has opened. */
export async function openMany(port: number, count: number): Promise<Peer[]> {
  const peers: Peer[] = [];
  while (peers.length < count) {
    const wave = Array.from({ length: Math.min(WAVE, count - peers.length) }, () =>
      Peer.open(port),
    );
    peers.push(...(await Promise.all(wave)));
  }
  return peers;
}
