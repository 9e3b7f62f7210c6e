/**
 * What an assertion is, and what it may use of the server under test.
 * @module
 */
import type { DeviceKey } from "../../core/index.ts";
import type { Zstd } from "../../wire/index.ts";
import { type Login, PACKET } from "../load/packets.ts";
import type { Opener } from "../load/wire.ts";
import { ConformanceFault } from "./fault.ts";
import { type ConnectFields, connectBytes, Peer } from "./peer.ts";

export interface Assertion {
  /** `C` connecting, `P` packets, `U` uplink, `S` subscribing, `D` downlink; numbered, never reused. */
  readonly id: string;
  /** What the server must do, in one sentence. */
  readonly must: string;
  /** The MQTT 3.1.1 statement or the section of PROTOCOL.md it comes from. */
  readonly source: string;
  /** Returns when the server does so; throws `ConformanceFault` when it does not. */
  readonly check: (world: World) => Promise<void>;
}

/** The server under test, as one assertion sees it: two devices of its own. */
export class World {
  readonly #opener: Opener;
  readonly #loginOf: (key: DeviceKey) => Promise<Login>;
  readonly #peers: Peer[] = [];
  readonly zstd: Zstd;
  /** The device of this assertion, and another one. */
  readonly key: DeviceKey;
  readonly other: DeviceKey;

  constructor(options: {
    readonly opener: Opener;
    readonly loginOf: (key: DeviceKey) => Promise<Login>;
    readonly zstd: Zstd;
    readonly key: DeviceKey;
    readonly other: DeviceKey;
  }) {
    this.#opener = options.opener;
    this.#loginOf = options.loginOf;
    this.zstd = options.zstd;
    this.key = options.key;
    this.other = options.other;
  }

  /** A connection on which nothing was said yet. */
  open(): Peer {
    const peer = new Peer(this.#opener);
    this.#peers.push(peer);
    return peer;
  }

  /** A connection on which a CONNECT was sent, with fields bent. */
  async connecting(fields: ConnectFields = {}, key = this.key): Promise<Peer> {
    const peer = this.open();
    await peer.send(connectBytes(await this.#loginOf(key), fields));
    return peer;
  }

  /** A connection that was accepted. */
  async session(fields: ConnectFields = {}, key = this.key): Promise<Peer> {
    const peer = await this.connecting(fields, key);
    const code = await peer.connack();
    if (code !== 0) throw new ConformanceFault(`CONNACK ${code} for a device that may connect`);
    return peer;
  }

  async connectBytes(fields: ConnectFields = {}): Promise<Buffer> {
    return connectBytes(await this.#loginOf(this.key), fields);
  }

  /** Throws `ConformanceFault` unless `peer` is closed without having been acknowledged anything. */
  async refused(peer: Peer, why: string): Promise<void> {
    await peer.closed(why);
    const acknowledged = peer.heard(PACKET.puback).length + peer.heard(PUBREC).length;
    if (acknowledged > 0) throw new ConformanceFault(`acknowledged before it closed: ${why}`);
  }

  end(): void {
    for (const peer of this.#peers) peer.end();
  }
}

const PUBREC = 5;
