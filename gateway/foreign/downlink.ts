/**
 * The downlink through another broker: releases, watermarks, refusals and
 * codec models, published where devices listen.
 *
 *   pull, delta, refusal ──▶ due ──┐
 *                                  ├─▶ views (one round trip) ─▶ messages ─▶ broker
 *   release, slow refresh ─▶ paced ┘      ladder (shared)
 *
 * There are no sessions to see here: who is connected, and what it has taken,
 * only the broker knows. So a release is announced, in sixty bytes, to every
 * device this process has heard of, and each that lacks it pulls; the pull goes
 * to any process of the group, and that one answers. Several processes may
 * announce the same release to a device: it has an answer for the first and
 * nothing to do for the others.
 *
 * What is owed is a flag on the device, cleared when the broker has
 * acknowledged the messages, so a lost connection owes it again.
 * @module
 */
import {
  assert,
  type BackoffPolicy,
  type Clock,
  type DeviceKey,
  deviceName,
  OmegaError,
  type Random,
  type Service,
  TransportError,
} from "../../src/core/index.ts";
import type { Counter, Gauge, Logger, Metrics } from "../../src/observe/index.ts";
import { codecTopicOf, type Position } from "../../src/wire/index.ts";
import { type DownlinkLimits, downlinkLimits } from "../downlink-limits.ts";
import { Due } from "../due.ts";
import { Fanout } from "../fanout.ts";
import { type HeldLadder, Ladders } from "../ladders.ts";
import { Models } from "../models.ts";
import { createPacer } from "../pacer.ts";
import type { DeviceView, DownlinkSource, FrameListener, Sender, Told } from "../ports.ts";
import { Reach } from "../reach.ts";
import { type Message, messagesFor } from "./frames.ts";
import type { Outgoing } from "./outbox.ts";
import { type Peer, Peers } from "./peers.ts";

const SOURCE_BACKOFF: BackoffPolicy = { delayMsBase: 200, delayMsMax: 10_000 };
/** Refusals of one message; any other failure means that the connection is gone and all is owed again. */
const MESSAGE_REASONS = new Set(["broker.refused", "broker.packet-size"]);

export interface ForeignDownlinkOptions {
  readonly source: DownlinkSource;
  /** Tenants that have releases; others are not answered. */
  readonly tenants: ReadonlySet<string>;
  /** Devices remembered at once. */
  readonly devicesMax: number;
  readonly limits: Partial<DownlinkLimits>;
  /** Resolves when the broker has acknowledged the message. */
  readonly publish: (message: Outgoing) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class ForeignDownlink implements FrameListener<Sender>, Service {
  readonly name = "foreign-downlink";
  readonly #options: ForeignDownlinkOptions;
  readonly #peers: Peers;
  readonly #reach: Reach;
  readonly #ladders: Ladders;
  readonly #models: Models;
  /** Topics of the codec models that the broker has from us on this connection. */
  readonly #published = new Map<string, Promise<void>>();
  readonly #due: Due<Peer>;
  readonly #fanout: Fanout<Peer>;
  readonly #count: { readonly devices: Gauge; readonly frames: Counter; readonly bytes: Counter };
  #unwatch: (() => Promise<void>) | null = null;

  /** Throws `InvalidConfigError` when a limit is out of range. */
  constructor(options: ForeignDownlinkOptions) {
    const { source, clock, random, log, metrics } = options;
    const limits = downlinkLimits(options.limits);
    this.#options = options;
    this.#peers = new Peers(options.devicesMax, (peer) => this.#forgotten(peer));
    this.#reach = new Reach({ source, clock, timeoutMs: limits.sourceMsMax });
    this.#ladders = new Ladders({ source: this.#reach, clock });
    const { modelCountMax: countMax, modelAbsentMs: absentMs } = limits;
    this.#models = new Models({ source: this.#reach, clock, countMax, absentMs, log });
    this.#due = new Due({
      serve: (peers) => this.#serve(peers),
      batchCountMax: limits.chunkCount,
      parallelCountMax: limits.parallelCountMax,
      gatherMs: limits.gatherMs,
      ...{ backoff: SOURCE_BACKOFF, clock, random, log },
    });
    this.#fanout = new Fanout({
      audience: this.#audience(),
      ladders: this.#ladders,
      pacer: createPacer({ ratePerS: limits.fanoutPerS, burstCount: limits.chunkCount, clock }),
      ...{ backoff: SOURCE_BACKOFF, limits, clock, random, log },
    });
    this.#count = {
      devices: metrics.gauge(
        "omega_gateway_broker_devices_count",
        "Devices heard of and remembered.",
      ),
      frames: metrics.counter("omega_gateway_down_frames_total", "Frames sent to devices.", [
        "kind",
      ]),
      bytes: metrics.counter("omega_gateway_down_bytes_total", "Bytes of down frames sent."),
    };
  }

  /** Whether releases and cursors can be read, as far as the last question showed. */
  get reachable(): boolean {
    return this.#reach.failing === null;
  }

  async start(): Promise<void> {
    this.#unwatch = await this.#options.source.watch({
      onRelease: (tenant) => {
        if (this.#peers.hasTenant(tenant)) this.#fanout.released(tenant);
      },
      onProblems: (key) => this.#refused(key),
    });
    this.#fanout.start();
  }

  /** Nothing more is announced or answered. */
  async stop(): Promise<void> {
    await this.#unwatch?.();
    this.#unwatch = null;
    this.#due.stop();
    await this.#fanout.stop();
  }

  /** The broker may have lost what it retained: codec models are published to it again. */
  reconnected(): void {
    this.#published.clear();
  }

  onPull(from: Sender, told: Told): void {
    const peer = this.#heard(from, told);
    if (peer === null) return;
    peer.asked = told;
    this.#due.add(peer);
  }

  onUpHeader(from: Sender, told: Told): void {
    const peer = this.#heard(from, told);
    if (peer === null) return;
    const newest = this.#ladders.current(from.key.tenant)?.version ?? 0;
    peer.behind = told.base < newest;
    // Whoever is up to date is told of its watermark with the next release or walk.
    if (peer.behind || peer.version < 0) this.#due.add(peer);
  }

  /** What we publish is kept out of the socket's buffer by the outbox. */
  modelBytes(): number {
    return 0;
  }

  #heard(from: Sender, { minor }: Told): Peer | null {
    if (!this.#options.tenants.has(from.key.tenant)) return null;
    const peer = this.#peers.heard(from);
    peer.minor = minor;
    this.#count.devices.set(this.#peers.size);
    return peer;
  }

  #forgotten(peer: Peer): void {
    this.#due.remove(peer);
    const { tenant } = peer.key;
    if (!this.#peers.hasTenant(tenant)) this.#ladders.forget(tenant);
  }

  #refused(key: DeviceKey): void {
    const peer = this.#peers.named(deviceName(key));
    if (peer !== undefined) this.#due.add(peer);
  }

  #audience() {
    const inTenant = (tenant: string) => [...this.#peers.inTenant(tenant)];
    return {
      tenants: () => this.#pollable(),
      behind: (tenant: string, version: number) =>
        inTenant(tenant).filter((peer) => peer.version < version),
      everyone: inTenant,
      serve: (peers: readonly Peer[]) => this.#serve(peers),
    };
  }

  /** The tenant that failed is polled even when nobody of it is known, so that a recovery is noticed. */
  #pollable(): string[] {
    const { failing } = this.#reach;
    const tenants = this.#peers.tenants();
    return failing === null || tenants.includes(failing) ? tenants : [...tenants, failing];
  }

  /** One round trip for all; rejects when the source or the broker fails, and what was owed stays owed. */
  async #serve(peers: readonly Peer[]): Promise<void> {
    if (peers.length === 0) return;
    const views = await this.#reach.views(peers.map(({ key }) => key));
    assert(views.length === peers.length, "the source answers for every key");
    const ladders = await this.#laddersFor(peers, views);
    const outcomes = await Promise.allSettled(
      peers.map((peer, index) => {
        const [view, held] = [views[index], ladders.get(peer.key.tenant)];
        assert(view !== undefined && held !== undefined, "a view and a ladder for every device");
        return this.#tell(peer, view, held);
      }),
    );
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** A device ahead of our ladder means that ours is old. */
  async #laddersFor(
    peers: readonly Peer[],
    views: readonly DeviceView[],
  ): Promise<Map<string, HeldLadder>> {
    const bases = new Map<string, number>();
    for (const [index, { key, asked }] of peers.entries()) {
      const base = Math.max(bases.get(key.tenant) ?? 0, views[index]?.base ?? 0, asked?.base ?? 0);
      bases.set(key.tenant, base);
    }
    const loads = [...bases].map(async ([tenant, base]) => {
      const held = await this.#ladders.get(tenant, base);
      await this.#ensureModel(tenant, held);
      return [tenant, held] as const;
    });
    return new Map(await Promise.all(loads));
  }

  async #tell(peer: Peer, view: DeviceView, held: HeldLadder): Promise<void> {
    const { asked, behind, key, minor } = peer;
    // P5, P6: look-ups may cross, and a lagging replica may answer.
    if (held.version < peer.version || isBefore(view.applied, peer.applied)) {
      if (asked === null) return;
      throw new TransportError(
        "views.stale",
        `${peer.name}: the store answered with an older state`,
      );
    }
    const news = held.version > peer.version || !samePosition(view.applied, peer.applied);
    if (asked === null && !behind && !news) return;
    const former = { version: peer.version, applied: peer.applied };
    // Set before the broker has it, so that a look-up that crosses this one does not take it back.
    Object.assign(peer, {
      asked: null,
      behind: false,
      version: held.version,
      applied: view.applied,
    });
    try {
      await this.#sendAll(messagesFor({ key, minor, asked, view, held }));
    } catch (error) {
      peer.asked ??= asked;
      peer.behind ||= behind;
      if (peer.version === held.version) Object.assign(peer, former);
      throw error;
    }
  }

  async #sendAll(messages: readonly Message[]): Promise<void> {
    await Promise.all(messages.map((message) => this.#send(message)));
  }

  async #send({ kind, ...message }: Message | (Outgoing & { kind: "model" })): Promise<void> {
    try {
      await this.#options.publish(message);
      this.#count.frames.add(1, { kind });
      this.#count.bytes.add(message.payload.length);
    } catch (error) {
      if (!(error instanceof OmegaError) || !MESSAGE_REASONS.has(error.reason)) throw error;
      // It would be refused for ever; one device's message must not hold up the others.
      this.#options.log.error("broker.message.refused", { topic: message.topic, error });
    }
  }

  /** The codec model that a release needs is retained at the broker before anyone is told of it. */
  async #ensureModel(tenant: string, { full }: HeldLadder): Promise<void> {
    const version = full.ladder1?.model ?? 0;
    if (version === 0) return;
    const topic = codecTopicOf({ tenant, version });
    const publishing = this.#published.get(topic) ?? this.#publishModel(topic, tenant, version);
    this.#published.set(topic, publishing);
    try {
      await publishing;
    } catch (error) {
      if (this.#published.get(topic) === publishing) this.#published.delete(topic);
      throw error;
    }
  }

  async #publishModel(topic: string, tenant: string, version: number): Promise<void> {
    const payload = await this.#models.get({ tenant, version });
    if (payload === null) return;
    await this.#send({ kind: "model", topic, payload, retain: true });
  }
}

function samePosition(a: Position | null, b: Position | null): boolean {
  return a === b || (a !== null && b !== null && a.epoch === b.epoch && a.seq === b.seq);
}

function isBefore(a: Position | null, b: Position | null): boolean {
  if (a === null || b === null) return a === null && b !== null;
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);
}
