/**
 * The gateway's ports: what it needs from the rest of the house, and what its
 * two halves (uplink, downlink) need from each other.
 *
 * The gateway is stateless: releases and cursors are read through
 * {@link DownlinkSource}, deltas leave through `DeltaProducer`, and who fills
 * either port is decided in src/cli.
 * @module
 */
import type { Client } from "aedes";
import type { DeviceKey } from "../src/core/index.ts";
import type { Ladder, Ladder1, Position, Problem } from "../src/wire/index.ts";

/** What the server knows of one device, as its next down frame must tell it (P6). */
export interface DeviceView {
  /** Version the device said it holds in its newest delta; 0 for none. */
  readonly base: number;
  /** Newest position the aggregator has committed; `null` before the first delta. */
  readonly applied: Position | null;
  /** The newest refusals, at most 8; sent on `…/err` before the watermark that passes them. */
  readonly problems: readonly Problem[];
}

export interface ReleaseListener {
  onRelease(tenant: string, version: number): void;
  onProblems(key: DeviceKey): void;
}

/** One release as devices of either kind get it. */
export interface Renditions {
  /** For everybody. */
  readonly ladder: Ladder;
  /** For devices that speak minor 1, of the same version; null when the release has none. */
  readonly ladder1: Ladder1 | null;
}

export interface DownlinkSource {
  /** The current release of a tenant; an empty ladder (version 0) before the first. */
  ladders(tenant: string): Promise<Renditions>;
  /** One round trip for many devices; the answer has the order of `keys`. */
  views(keys: readonly DeviceKey[]): Promise<DeviceView[]>;
  /** An encoded codec model, or null when there is none of this version; it never changes. */
  model(tenant: string, version: number): Promise<Uint8Array | null>;
  /** Notifications may be lost: callers also poll. Resolves to the function that stops watching. */
  watch(listener: ReleaseListener): Promise<() => Promise<void>>;
}

/** The device that a frame came from. */
export interface Sender {
  /** `tenant/device`. */
  readonly name: string;
  readonly key: DeviceKey;
}

/**
 * One live session: accepted by CONNACK 0, not yet closed. At most one per `name` in a gateway.
 * Its name is also the client id inside aedes, so tenants never take over one another.
 */
export interface GatewayClient extends Sender {
  readonly client: Client;
}

/** What the header of a device's frame says of the device. */
export interface Told {
  /** The version it holds; 0 for none. */
  readonly base: number;
  /** The protocol minor it speaks; releases of a later minor are not sent to it. */
  readonly minor: number;
}

/** What the uplink half tells the downlink half of frames. None of these throws; none blocks the uplink. */
export interface FrameListener<From extends Sender = GatewayClient> {
  /** The device asked for the newest release and said what it holds and what it can read. */
  onPull(from: From, told: Told): void;
  /** A delta passed by, and with it what the device held and could read when it was made. */
  onUpHeader(from: From, told: Told): void;
  /** Bytes of codec models on their way out on the connection that the frames of `from` come in on. */
  modelBytes(from: From): number;
}

/** The downlink half of sessions, as the uplink half calls it. */
export interface DownlinkSessions extends FrameListener {
  /** After CONNACK 0. */
  onClientReady(client: GatewayClient): void;
  /** Exactly once for every `onClientReady`, after the socket is closed. */
  onClientGone(client: GatewayClient): void;
}

/** Who is told of each session's beginning and end, in order; for a history. It must not throw. */
export interface SessionWatch {
  /** After CONNACK 0, of connection number `connection` of this gateway. */
  opened(device: string, connection: number): void;
  /** Once for every `opened`: nothing more is read from it or written to it. */
  closed(device: string, connection: number): void;
}

/** Where a listener really listens: the port the system chose when 0 was asked for. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}
