/**
 * The gateway behind another broker: the same ingest as a member of a shared
 * subscription, the downlink published through that broker. It has no listener
 * for devices and no data of its own.
 *
 *   devices ─▶ broker ─ $share/{group}/omega/v1/+/d/+/up ─▶ batches ─▶ durable add ─▶ PUBACK
 *      ▲──────────┘◀──────────── …/down, …/err, …/codec/… ◀── downlink
 *
 * P1 holds between this process and the broker: its PUBACK leaves after the
 * durable add, and when that fails or nobody knows, the connection is cut and
 * the broker, which kept the messages, sends them again. Between the device and
 * the broker it is the broker's promise: see docs/broker.md for what it must be
 * configured to keep.
 *
 * The session has a stable client id and outlives the process: a broker like
 * Mosquitto goes on queueing a member's share for it while it is away. So a
 * stop does not unsubscribe, unless it is for good (`leave`).
 * @module
 */
import {
  type Clock,
  type Health,
  InvalidConfigError,
  isId,
  isLoopback,
  type Random,
  type Readiness,
  type Service,
  sleep,
  systemClock,
  systemRandom,
  TimeoutError,
  within,
} from "../../src/core/index.ts";
import { type Logger, type Metrics, noMetrics, silentLogger } from "../../src/observe/index.ts";
import type { DeltaProducer } from "../../src/queue/index.ts";
import type { DownlinkLimits } from "../downlink-limits.ts";
import { createHttpService, type HttpService } from "../http.ts";
import { Ingest } from "../ingest.ts";
import { type GatewayLimits, gatewayLimits, PRESSURE_REFUSES_FROM } from "../limits.ts";
import type { ListenOptions } from "../listeners.ts";
import type { BoundAddress, DownlinkSource, Sender } from "../ports.ts";
import { type ForeignAddress, type ForeignBrokerOptions, foreignAddress } from "./address.ts";
import { ForeignDownlink } from "./downlink.ts";
import { Session } from "./session.ts";
import { ForeignUplink } from "./uplink.ts";

export interface ForeignGatewayOptions {
  readonly broker: ForeignBrokerOptions & {
    /** This member's own, and the same after a restart: its session at the broker hangs on it. */
    readonly clientId: string;
    /** The name of the shared subscription; all members of a system have the same. */
    readonly group: string;
    /** How long the broker keeps what it queued for a member that is away, seconds. */
    readonly sessionExpiryS: number;
    /** Deltas taken and not acknowledged at once: the Receive Maximum, 1 to 65,535. */
    readonly inFlightCountMax: number;
    /** Devices remembered, to tell them of a release. */
    readonly devicesMax: number;
    /** Stopping is for good: give the subscription up and take what is queued for it first. */
    readonly leave: boolean;
  };
  /** Health and metrics; none when absent. */
  readonly http?: ListenOptions;
  readonly shards: number;
  /** The tenants that have releases. */
  readonly tenants: readonly string[];
  /** Where deltas go. The gateway uses it and does not close it. */
  readonly producer: Pick<DeltaProducer, "add">;
  readonly source: DownlinkSource;
  readonly limits?: Partial<GatewayLimits>;
  readonly downlinkLimits?: Partial<DownlinkLimits>;
  /** How long what was taken may need to be acknowledged when stopping. */
  readonly flushMs?: number;
  readonly log?: Logger;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface ForeignGatewayAddresses {
  readonly broker: string;
  readonly clientId: string;
  readonly http?: BoundAddress;
}

type Phase = "starting" | "ready" | "draining" | "stopped";

/** A leaving member has the rest of its queue when nothing came for this long. */
const QUIET_MS = 500;
const FLUSH_MS = 5_000;
/** PUBACKs that wait for the socket; beside them it holds the outbox's few messages, one of them a codec model. */
const UNREAD_BYTES_MAX = 2 * 1024 * 1024;

export class ForeignGateway implements Service {
  readonly name = "gateway";
  readonly #options: ForeignGatewayOptions;
  readonly #address: ForeignAddress;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #ingest: Ingest<Sender>;
  readonly #uplink: ForeignUplink;
  readonly #downlink: ForeignDownlink;
  readonly #session: Session;
  readonly #http: HttpService | null;
  #phase: Phase = "starting";
  #drained: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  /** Throws `InvalidConfigError`: a bad URL, client id, group, limit or authority file. */
  constructor(options: ForeignGatewayOptions) {
    requireUsable(options);
    const {
      clock = systemClock,
      random = systemRandom,
      log = silentLogger,
      metrics = noMetrics,
      shards,
      broker,
    } = options;
    this.#options = options;
    this.#address = foreignAddress(broker);
    this.#clock = clock;
    this.#log = log;
    const limits = memberLimits(options);
    this.#downlink = new ForeignDownlink({
      source: options.source,
      tenants: new Set(options.tenants),
      devicesMax: broker.devicesMax,
      limits: options.downlinkLimits ?? {},
      publish: (message) => this.#session.publish(message),
      ...{ clock, random, log, metrics },
    });
    const { producer } = options;
    this.#ingest = new Ingest<Sender>({
      ...{ producer, shards, limits, clock, log, metrics },
      downlink: this.#downlink,
    });
    this.#uplink = new ForeignUplink({ ingest: this.#ingest, shards, log, metrics });
    this.#session = new Session({
      address: this.#address,
      clientId: broker.clientId,
      filter: `$share/${broker.group}/omega/v1/+/d/+/up`,
      sessionExpiryS: broker.sessionExpiryS,
      receiveMaximum: broker.inFlightCountMax,
      receive: (connection) => {
        this.#downlink.reconnected();
        return this.#uplink.open(connection);
      },
      ...{ clock, random, log, metrics },
    });
    this.#http =
      options.http === undefined
        ? null
        : createHttpService({ ...options.http, health: this.health, metrics, log });
  }

  readonly health: Health = {
    live: () => true,
    ready: () => this.#readiness(),
  };

  /** Who it is to which broker, and where it answers for its health. */
  get addresses(): ForeignGatewayAddresses {
    const { clientId } = this.#options.broker;
    const member = { broker: this.#address.name, clientId };
    const serving = this.#phase === "ready" || this.#phase === "draining";
    return this.#http !== null && serving ? { ...member, http: this.#http.address() } : member;
  }

  /** Rejects when the broker does not let it in or a port cannot be bound; nothing is left running then. */
  async start(): Promise<void> {
    const { tls, password, host, name } = this.#address;
    if (password !== null && tls === undefined && !isLoopback(host)) {
      this.#log.warn("broker.password.plain", { broker: name, fix: "use mqtts://" });
    }
    try {
      await this.#http?.start();
      await this.#downlink.start();
      await this.#session.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#phase = "ready";
  }

  /** Not ready → nothing more is read → what was taken is acknowledged → DISCONNECT. Idempotent. */
  drain(): Promise<void> {
    this.#drained ??= this.#phase === "ready" ? this.#drainOnce() : Promise.resolve();
    return this.#drained;
  }

  /** Ends whatever is left, acknowledged or not: the broker sends it again. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  async #drainOnce(): Promise<void> {
    this.#phase = "draining";
    const { leave } = this.#options.broker;
    this.#log.info("gateway.draining", { leave });
    if (leave) await this.#emptyQueue();
    this.#uplink.rest();
    // It waits for the broker's PUBACKs, which nobody reads any more: the goodbye ends that wait.
    const silent = this.#downlink.stop();
    await this.#atMost(Promise.all([this.#ingest.flush(), this.#uplink.idle()]));
    await this.#session.leave();
    await silent;
  }

  /** Takes what the broker still holds for this member, until it has been silent for a while. */
  async #emptyQueue(): Promise<void> {
    this.#session.unsubscribe();
    const deadlineMs = this.#clock.monotonicMs() + this.#flushMs;
    for (let seen = -1; seen !== this.#uplink.taken; ) {
      seen = this.#uplink.taken;
      await sleep(this.#clock, QUIET_MS);
      if (this.#clock.monotonicMs() < deadlineMs) continue;
      this.#log.warn("broker.leave.timeout", { waitMs: this.#flushMs });
      return;
    }
  }

  async #stopOnce(): Promise<void> {
    this.#phase = "stopped";
    this.#ingest.abort();
    await Promise.all([this.#downlink.stop(), this.#session.leave()]);
    await this.#http?.stop();
  }

  get #flushMs(): number {
    return this.#options.flushMs ?? FLUSH_MS;
  }

  async #atMost(work: Promise<unknown>): Promise<void> {
    const waitMs = this.#flushMs;
    try {
      const late = () => new TimeoutError("gateway.drain", `not done within ${waitMs} ms`);
      await within(this.#clock, waitMs, work, late, { background: true });
    } catch {
      // What is not acknowledged by now the broker sends again.
      this.#log.warn("gateway.drain.timeout", { waitMs });
    }
  }

  #readiness(): Readiness {
    const reasons: string[] = [];
    if (this.#phase !== "ready") reasons.push(`gateway.${this.#phase}`);
    if (!this.#session.connected) reasons.push("broker.unreachable");
    if (this.#ingest.pressure() >= PRESSURE_REFUSES_FROM) reasons.push("gateway.pressure");
    if (!this.#ingest.reachable) reasons.push("queue.unreachable");
    if (!this.#downlink.reachable) reasons.push("source.unreachable");
    return { ready: reasons.length === 0, reasons };
  }
}

/** One connection carries everybody, so its window is the whole gateway's. */
function memberLimits({ limits, broker }: ForeignGatewayOptions): GatewayLimits {
  const { inFlightCountMax } = broker;
  return gatewayLimits({
    ...limits,
    inFlightCountMax,
    // The broker keeps the Receive Maximum, so what waits for bytes is never more than that.
    waitingCountMax: inFlightCountMax + 1,
    unreadBytesMax: UNREAD_BYTES_MAX,
  });
}

function requireUsable({ broker, shards }: ForeignGatewayOptions): void {
  const faults: string[] = [];
  const { group, clientId, inFlightCountMax: inFlight } = broker;
  if (!isId(group)) faults.push(`broker.group must be an id: got ${JSON.stringify(group)}`);
  if (clientId === "") faults.push("broker.clientId must not be empty: the session hangs on it");
  if (!Number.isInteger(inFlight) || inFlight < 1 || inFlight > 65_535) {
    faults.push(`broker.inFlightCountMax must be 1 to 65535: got ${inFlight}`);
  }
  if (!Number.isInteger(shards) || shards < 1) faults.push(`shards must be ≥ 1: got ${shards}`);
  if (faults.length > 0) throw new InvalidConfigError(faults);
}
