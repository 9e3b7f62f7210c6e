/**
 * The downlink: what the server says to its devices, on `…/down` and `…/err`.
 *
 *   SUBSCRIBE, pull, freed line, refusal ──▶ due ──┐
 *                                                  ├─▶ views (one round trip) ─▶ subscriber.next ─▶ link.send
 *   release, slow refresh ──▶ fan-out, paced ──────┘        ladder (shared)
 *
 * A topic's retained message is not stored but computed on SUBSCRIBE, from the
 * tenant's ladder and the device's view: one look-up by key, whatever the
 * number of devices. A codec model, the one message that is the same for all,
 * comes from a small cache and goes out at a pace of its own, so that a tenant
 * that just learnt one does not fill every socket with it. Nothing here belongs to a device for longer than its
 * connection, except the little that clean=0 sessions keep (sessions.ts).
 * @module
 */
import type { Aedes, Client, Subscription } from "aedes";
import {
  type BackoffPolicy,
  type Clock,
  limits as coreLimits,
  type DeviceKey,
  deviceName,
  parseDeviceName,
  type Random,
  type Service,
} from "../src/core/index.ts";
import type { Logger, Metrics } from "../src/observe/index.ts";
import { Delivery } from "./delivery.ts";
import { type DownlinkLimits, downlinkLimits } from "./downlink-limits.ts";
import { Due } from "./due.ts";
import { Fanout } from "./fanout.ts";
import { listenToPubacks } from "./guard.ts";
import { Ladders } from "./ladders.ts";
import { type CutReason, Link } from "./link.ts";
import { Models } from "./models.ts";
import { createPacer, type Pacer } from "./pacer.ts";
import {
  createPersistence,
  type GatewayPersistence,
  grantedQos,
  ownLine,
  ownModel,
} from "./persistence.ts";
import type { DownlinkSessions, DownlinkSource, GatewayClient, Told } from "./ports.ts";
import { Reach } from "./reach.ts";
import { Roster } from "./roster.ts";
import { Sessions } from "./sessions.ts";
import { type Content, Subscriber } from "./subscriber.ts";

export { DEFAULT_DOWNLINK_LIMITS, type DownlinkLimits } from "./downlink-limits.ts";

const SOURCE_BACKOFF: BackoffPolicy = { delayMsBase: 200, delayMsMax: 10_000 };
const NOTHING = new Uint8Array(0);
/** SUBACK's answer for a refused filter [MQTT-3.9.3-2]. */
const REFUSED = 128;

export interface DownlinkOptions {
  readonly source: DownlinkSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<DownlinkLimits>;
}

export class Downlink implements DownlinkSessions, Service {
  readonly name = "downlink";
  /** For `Aedes.createBroker({ persistence })`. */
  readonly persistence: GatewayPersistence;
  readonly #options: DownlinkOptions;
  readonly #limits: DownlinkLimits;
  readonly #roster = new Roster();
  readonly #sessions: Sessions;
  readonly #reach: Reach;
  readonly #ladders: Ladders;
  readonly #delivery: Delivery;
  readonly #due: Due<Link>;
  readonly #fanout: Fanout<Link>;
  readonly #models: Models;
  readonly #modelsDue: Due<Link>;
  readonly #modelPacer: Pacer;
  readonly #stopping = new AbortController();
  readonly #count: ReturnType<typeof instruments>;
  #unwatch: (() => Promise<void>) | null = null;

  /** Throws `InvalidConfigError` when a limit is out of range. */
  constructor(options: DownlinkOptions) {
    const { source, clock, random, log } = options;
    const limits = downlinkLimits(options.limits);
    this.#options = options;
    this.#limits = limits;
    this.#count = instruments(options.metrics);
    this.#sessions = new Sessions({
      clock,
      countMax: limits.sessionCountMax,
      ttlMs: limits.sessionTtlMs,
    });
    this.#reach = new Reach({ source, clock, timeoutMs: limits.sourceMsMax });
    this.#ladders = new Ladders({ source: this.#reach, clock });
    this.#delivery = new Delivery({
      ...{ source: this.#reach, ladders: this.#ladders },
      ...{ clock, log, metrics: options.metrics },
    });
    this.#due = new Due({
      serve: (links) => this.#delivery.serve(links),
      batchCountMax: limits.chunkCount,
      parallelCountMax: limits.parallelCountMax,
      gatherMs: limits.gatherMs,
      backoff: SOURCE_BACKOFF,
      clock,
      random,
      log,
    });
    this.#fanout = new Fanout({
      audience: this.#audience(),
      ladders: this.#ladders,
      pacer: createPacer({ ratePerS: limits.fanoutPerS, burstCount: limits.chunkCount, clock }),
      clock,
      random,
      log,
      limits,
      backoff: SOURCE_BACKOFF,
    });
    this.#models = new Models({
      source: this.#reach,
      clock,
      countMax: limits.modelCountMax,
      absentMs: limits.modelAbsentMs,
      log,
    });
    this.#modelPacer = createPacer({
      ratePerS: limits.modelBytesPerS,
      burstCount: coreLimits.MODEL_FRAME_BYTES_MAX,
      clock,
    });
    this.#modelsDue = new Due({
      serve: ([link]) => this.#serveModel(link),
      batchCountMax: 1,
      parallelCountMax: limits.parallelCountMax,
      gatherMs: 0,
      backoff: SOURCE_BACKOFF,
      clock,
      random,
      log,
    });
    this.persistence = createPersistence({
      sessions: this.#sessions,
      onPuback: (client, messageId) => this.#roster.of(client)?.acknowledged(messageId),
    });
  }

  /** Listens to the broker's events; to be called once, before the broker has clients. */
  attach(broker: Aedes): void {
    broker.on("client", (client) => this.#opened(client));
    broker.on("subscribe", (subscriptions, client) => this.#subscribed(subscriptions, client));
    broker.on("unsubscribe", (topics, client) => this.#unsubscribed(topics, client));
  }

  /** Whether releases and cursors can be read, as far as the last question showed. For `/readyz`. */
  get reachable(): boolean {
    return this.#reach.failing === null;
  }

  async start(): Promise<void> {
    this.#unwatch = await this.#options.source.watch({
      onRelease: (tenant) => {
        if (this.#roster.hasTenant(tenant)) this.#fanout.released(tenant);
      },
      onProblems: (key) => this.#refused(key),
    });
    this.#fanout.start();
  }

  /** No more releases are pushed; what devices ask for is still answered. */
  async drain(): Promise<void> {
    await this.#unwatch?.();
    this.#unwatch = null;
    await this.#fanout.stop();
  }

  async stop(): Promise<void> {
    await this.drain();
    this.#due.stop();
    this.#modelsDue.stop();
    this.#stopping.abort(new Error("downlink stopped"));
    for (const link of [...this.#roster.all()]) this.#gone(link);
  }

  onClientReady({ client }: GatewayClient): void {
    const link = this.#opened(client);
    if (link === null || client.clean) return;
    const session = this.#sessions.find(client.id);
    if (session === undefined) return;
    link.subscriber.restored(session.grants, session.outstanding, session.minor);
    this.#due.add(link);
  }

  onClientGone({ client }: GatewayClient): void {
    const link = this.#roster.of(client);
    if (link !== undefined) this.#gone(link);
  }

  onPull({ client }: GatewayClient, told: Told): void {
    const link = this.#roster.of(client);
    if (link === undefined) return;
    link.subscriber.pulled(told);
    if (link.subscriber.listens("down")) this.#due.add(link);
  }

  onUpHeader({ client }: GatewayClient, told: Told): void {
    this.#roster.of(client)?.subscriber.mentioned(told);
  }

  modelBytes({ client }: GatewayClient): number {
    return this.#roster.of(client)?.modelBytes ?? 0;
  }

  #opened(client: Client): Link | null {
    const known = this.#roster.of(client);
    if (known !== undefined) return known;
    if (client.closed || client.conn.destroyed) return null;
    const former = this.#roster.named(client.id);
    if (former !== undefined) this.#gone(former);
    // [MQTT-3.1.2-6] After the former connection has left its session, because clean=1 ends it.
    if (client.clean) this.#sessions.forget(client.id);
    const link = new Link({
      client,
      subscriber: new Subscriber(parseDeviceName(client.id), !client.clean),
      clock: this.#options.clock,
      limits: this.#limits,
      onCut: (cut, reason) => this.#cut(cut, reason),
      onFree: (free, line) => this.#freed(free, line),
    });
    this.#roster.add(link);
    listenToPubacks(client.conn, link);
    // The socket's end is the one event aedes cannot miss: after a takeover it may emit no other.
    client.conn.once("close", () => this.#gone(link));
    this.#count.links.set(this.#roster.size);
    return link;
  }

  #freed(link: Link, line: Content["line"]): void {
    if (line === "model") this.#modelsDue.add(link);
    else if (!this.#delivery.goOn(link)) this.#due.add(link);
  }

  #gone(link: Link): void {
    if (!this.#roster.remove(link)) return;
    link.close();
    this.#due.remove(link);
    this.#modelsDue.remove(link);
    const { client, subscriber } = link;
    if (!client.clean) {
      const { minor } = subscriber;
      const [grants, outstanding] = [subscriber.grants(), subscriber.outstanding()];
      this.#sessions.save(client.id, { grants, outstanding, minor });
    }
    const { tenant } = subscriber.key;
    if (!this.#roster.hasTenant(tenant)) this.#ladders.forget(tenant);
    this.#count.links.set(this.#roster.size);
  }

  #cut(link: Link, reason: CutReason): void {
    this.#count.slowReaders.add(1, { reason });
    this.#options.log.warn("downlink.slow-reader", { ...link.subscriber.key, reason });
  }

  #subscribed(subscriptions: readonly Subscription[], client: Client): void {
    const link = this.#opened(client);
    if (link === null) return;
    let owed = false;
    for (const { topic, qos } of subscriptions) {
      if ((qos as number) === REFUSED) continue;
      const version = ownModel(client.id, topic);
      if (version !== null) {
        link.subscriber.models.subscribed(version, grantedQos(qos));
        this.#modelsDue.add(link);
      }
      const line = ownLine(client.id, topic);
      if (line === null) continue;
      link.subscriber.subscribed(line, grantedQos(qos));
      owed = true;
    }
    if (owed) this.#due.add(link);
  }

  #unsubscribed(topics: readonly string[], client: Client): void {
    const link = this.#roster.of(client);
    if (link === undefined) return;
    for (const topic of topics) {
      const version = ownModel(client.id, topic);
      if (version !== null) link.subscriber.models.drop(version);
      const line = ownLine(client.id, topic);
      if (line !== null) link.subscriber.unsubscribed(line);
    }
  }

  /** Sends one model that `link` wants. Each device has one place in the line, however often it asks. */
  async #serveModel(link: Link | undefined): Promise<void> {
    if (link === undefined) return;
    const { subscriber } = link;
    const version = subscriber.models.next;
    if (!link.open || version === null) return;
    const frame = await this.#models.get({ tenant: subscriber.key.tenant, version });
    if (frame === null) subscriber.models.drop(version);
    else await this.#modelPacer.take(frame.length, this.#stopping.signal);
    if (frame !== null && link.open && subscriber.models.mayShip(version)) {
      this.#delivery.countModel(frame.length);
      link.send([{ shipment: subscriber.nextModel(version), head: NOTHING, body: frame }]);
    }
    if (link.open && subscriber.models.next !== null) this.#modelsDue.add(link);
  }

  #refused(key: DeviceKey): void {
    const link = this.#roster.named(deviceName(key));
    if (link?.subscriber.listens("err")) this.#due.add(link);
  }

  #audience() {
    const listening = (tenant: string, wanted: (link: Link) => boolean) =>
      [...this.#roster.inTenant(tenant)].filter(wanted);
    return {
      tenants: () => this.#pollable(),
      behind: (tenant: string, version: number) =>
        listening(
          tenant,
          ({ subscriber }) => subscriber.listens("down") && subscriber.sentVersion < version,
        ),
      everyone: (tenant: string) =>
        listening(
          tenant,
          ({ subscriber }) => subscriber.listens("down") || subscriber.listens("err"),
        ),
      serve: (links: readonly Link[]) => this.#delivery.serve(links),
    };
  }

  /** With nobody connected, the tenant that failed is still polled, so that a recovery is noticed. */
  #pollable(): string[] {
    const { failing } = this.#reach;
    const tenants = this.#roster.tenants();
    return failing === null || tenants.includes(failing) ? tenants : [...tenants, failing];
  }
}

function instruments(metrics: Metrics) {
  return {
    links: metrics.gauge("omega_gateway_downlinks_count", "Devices connected to the downlink."),
    slowReaders: metrics.counter(
      "omega_gateway_slow_readers_total",
      "Devices cut because they did not read.",
      ["reason"],
    ),
  };
}
