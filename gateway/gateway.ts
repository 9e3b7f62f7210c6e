/**
 * The gateway: sockets on one side, the queue and the releases on the other,
 * and no data of its own. Killing one loses nothing (P1, P3).
 *
 *   stopped ──start──▶ ready ──drain──▶ draining ──stop──▶ stopped
 *
 * Draining is for the balancer's sake: say "not ready", wait until it has seen
 * that, stop listening, then close clients in steps so that they do not all
 * arrive at the other gateways in one second, each after the deltas it had
 * sent are acknowledged. Every wait is bounded.
 * @module
 */
import {
  type Clock,
  type Health,
  InvalidConfigError,
  isLoopback,
  type Random,
  type Readiness,
  type Service,
  sleep,
  systemClock,
  systemRandom,
  TimeoutError,
  within,
} from "../src/core/index.ts";
import { type Logger, type Metrics, noMetrics, silentLogger } from "../src/observe/index.ts";
import type { DeltaProducer } from "../src/queue/index.ts";
import { Admission } from "./admission.ts";
import { type AuthOptions, createAuthenticator } from "./auth.ts";
import { Broker } from "./broker.ts";
import { Door } from "./door.ts";
import { Downlink, type DownlinkLimits } from "./downlink.ts";
import { createHttpService, type HttpService } from "./http.ts";
import { Ingest } from "./ingest.ts";
import { type GatewayLimits, gatewayLimits, PRESSURE_REFUSES_FROM } from "./limits.ts";
import {
  type Listener,
  type ListenerEnvironment,
  type ListenersOptions,
  type ListenOptions,
  listen,
} from "./listeners.ts";
import type { BoundAddress, DownlinkSource, SessionWatch } from "./ports.ts";
import { Trust } from "./trust.ts";

export interface DrainTimings {
  /** From "not ready" to closed ports: longer than the balancer's check interval. */
  readonly readyGraceMs: number;
  /** The time over which clients are closed, in `DRAIN_STEPS` steps. */
  readonly closeMs: number;
  /** How long deltas already taken may still need for their add. */
  readonly flushMs: number;
}

export const DEFAULT_DRAIN_TIMINGS: DrainTimings = {
  readyGraceMs: 3_000,
  closeMs: 5_000,
  flushMs: 5_000,
};

export interface GatewayOptions {
  readonly listeners: ListenersOptions;
  /** Health and metrics; none when absent. */
  readonly http?: ListenOptions;
  readonly auth: AuthOptions;
  /** The list of revoked devices and tokens (revoked-list.ts), read again when it changes. */
  readonly revokedFile?: string;
  /** The shard count of the whole system, ≥ 1; every gateway and aggregator has the same. */
  readonly shards: number;
  /** Where deltas go. The gateway uses it and does not close it. */
  readonly producer: Pick<DeltaProducer, "add">;
  readonly source: DownlinkSource;
  readonly sessions?: SessionWatch;
  readonly limits?: Partial<GatewayLimits>;
  readonly downlinkLimits?: Partial<DownlinkLimits>;
  readonly drain?: Partial<DrainTimings>;
  /** What the process knows of its own load, 0 (idle) … 10; from 8 on CONNECTs are refused as busy. */
  readonly pressure?: () => number;
  readonly log?: Logger;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  readonly random?: Random;
}

export type GatewayAddresses = {
  readonly [kind in keyof ListenersOptions | "http"]?: BoundAddress;
};

type Phase = "starting" | "ready" | "draining" | "stopped";

const DRAIN_STEPS = 50;

export class Gateway implements Service {
  readonly name = "gateway";
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #timings: DrainTimings;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #admission: Admission;
  readonly #ingest: Ingest;
  readonly #downlink: Downlink;
  readonly #broker: Broker;
  readonly #door: Door;
  readonly #trust: Trust;
  readonly #http: HttpService | null;
  readonly #listeners: Listener[] = [];
  #phase: Phase = "starting";
  #drained: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  /**
   * Throws `InvalidConfigError`: bad limits or keys, no listener, or `auth.mode` "none" on a
   * listener that others than this machine can reach.
   */
  constructor(options: GatewayOptions) {
    requireSafe(options);
    const {
      clock = systemClock,
      random = systemRandom,
      log = silentLogger,
      metrics = noMetrics,
    } = options;
    const limits = gatewayLimits(options.limits);
    const shared = { clock, random, log, metrics, limits };
    this.#options = options;
    this.#limits = limits;
    this.#timings = { ...DEFAULT_DRAIN_TIMINGS, ...options.drain };
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#downlink = new Downlink({
      ...{ source: options.source, clock, random, log, metrics },
      limits: options.downlinkLimits ?? {},
    });
    this.#ingest = new Ingest({
      ...shared,
      producer: options.producer,
      shards: options.shards,
      downlink: this.#downlink,
    });
    this.#admission = new Admission({ limits, clock, pressure: () => this.#pressure() });
    this.#door = new Door({ limits, clock, metrics, admission: this.#admission });
    this.#trust = new Trust({ clock, log, metrics, revokedFile: options.revokedFile });
    this.#broker = new Broker({
      ...shared,
      authenticator: createAuthenticator(options.auth, clock, this.#trust.keepRead),
      admission: this.#admission,
      trust: this.#trust,
      ingest: this.#ingest,
      downlink: this.#downlink,
      ...(options.sessions === undefined ? {} : { sessions: options.sessions }),
    });
    this.#http =
      options.http === undefined
        ? null
        : createHttpService({ ...options.http, health: this.health, metrics, log });
  }

  /** What `/healthz` and `/readyz` answer; also for callers that serve it themselves. */
  readonly health: Health = {
    live: () => true,
    ready: () => this.#readiness(),
  };

  /** Where it listens; complete once `start` has resolved. */
  get addresses(): GatewayAddresses {
    const bound = this.#listeners.map((listener) => [listener.kind, listener.address]);
    const addresses: GatewayAddresses = Object.fromEntries(bound);
    const serving = this.#phase === "ready" || this.#phase === "draining";
    return this.#http !== null && serving
      ? { ...addresses, http: this.#http.address() }
      : addresses;
  }

  /** Live sessions at this moment. */
  get sessionCount(): number {
    return this.#broker.sessionCount;
  }

  /** Rejects with `NetworkError` when a port cannot be bound; nothing is left running then. */
  async start(): Promise<void> {
    try {
      await this.#http?.start();
      await this.#downlink.start();
      await this.#broker.start();
      for (const [kind, options] of this.#wantedListeners()) {
        const listener = await listen(kind, options, this.#environment());
        this.#listeners.push(listener);
        this.#log.info("gateway.listening", { kind, ...listener.address });
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#trust.start();
    this.#phase = "ready";
  }

  /**
   * Reads certificates, authorities and revocation lists again, as it does by itself when they
   * change. Absent where there are none. Never throws: what cannot be used is logged, and the old
   * stays in force.
   */
  get reload(): (() => void) | undefined {
    return this.#trust.watches ? () => this.#trust.reload() : undefined;
  }

  /** Not ready → grace → ports closed → clients closed in steps → batches flushed. Idempotent. */
  drain(): Promise<void> {
    this.#drained ??= this.#phase === "ready" ? this.#drainOnce() : Promise.resolve();
    return this.#drained;
  }

  /** Closes whatever is left, acknowledged or not. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  async #drainOnce(): Promise<void> {
    this.#phase = "draining";
    this.#log.info("gateway.draining", { sessions: this.sessionCount });
    await sleep(this.#clock, this.#timings.readyGraceMs);
    this.#admission.close();
    await this.#closeListeners();
    const retired = await this.#retireInSteps();
    await this.#atMost(this.#timings.flushMs, Promise.all(retired));
    await this.#atMost(this.#timings.flushMs, this.#ingest.flush());
    await this.#downlink.drain();
  }

  /** Starts closing a fiftieth of the sessions at a time, each pause between a half and one and a half. */
  async #retireInSteps(): Promise<Promise<void>[]> {
    const names = this.#broker.sessionNames();
    const perStep = Math.ceil(names.length / DRAIN_STEPS);
    const pauseMs = this.#timings.closeMs / DRAIN_STEPS;
    const retired: Promise<void>[] = [];
    while (names.length > 0) {
      for (const name of names.splice(0, perStep)) retired.push(this.#broker.retire(name));
      if (names.length > 0) await sleep(this.#clock, pauseMs * (0.5 + this.#random.next()));
    }
    return retired;
  }

  async #stopOnce(): Promise<void> {
    this.#phase = "stopped";
    this.#trust.stop();
    this.#admission.close();
    await this.#closeListeners();
    this.#door.stop();
    await this.#broker.stop();
    this.#ingest.abort();
    await this.#downlink.stop();
    await this.#http?.stop();
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  async #atMost(waitMs: number, work: Promise<unknown>): Promise<void> {
    try {
      const late = () => new TimeoutError("gateway.drain", `not done within ${waitMs} ms`);
      await within(this.#clock, waitMs, work, late, { background: true });
    } catch {
      // What is not acknowledged by now is resent to another gateway (P3).
      this.#log.warn("gateway.drain.timeout", { waitMs });
    }
  }

  #wantedListeners() {
    const { tcp, tls, ws } = this.#options.listeners;
    const all = [
      ["tcp", tcp],
      ["tls", tls],
      ["ws", ws],
    ] as const;
    return all.flatMap(([kind, options]) =>
      options === undefined ? [] : [[kind, options] as const],
    );
  }

  #environment(): ListenerEnvironment {
    return {
      door: this.#door,
      clock: this.#clock,
      connectionsMax: this.#limits.connectionsMax,
      handshakeMs: this.#limits.connectDeadlineMs,
      trust: this.#trust,
      accept: (stream, arrival) => this.#broker.accept(stream, arrival),
    };
  }

  #pressure(): number {
    return Math.max(this.#options.pressure?.() ?? 0, this.#ingest.pressure());
  }

  #readiness(): Readiness {
    const reasons: string[] = [];
    if (this.#phase !== "ready") reasons.push(`gateway.${this.#phase}`);
    if (this.#pressure() >= PRESSURE_REFUSES_FROM) reasons.push("gateway.pressure");
    if (!this.#ingest.reachable) reasons.push("queue.unreachable");
    if (!this.#downlink.reachable) reasons.push("source.unreachable");
    return { ready: reasons.length === 0, reasons };
  }
}

function requireSafe({ listeners, auth, shards }: GatewayOptions): void {
  const faults: string[] = [];
  const wanted = Object.entries(listeners).filter(([, options]) => options !== undefined);
  if (wanted.length === 0) faults.push("listeners must name at least one of tcp, tls, ws");
  if (!Number.isInteger(shards) || shards < 1) faults.push(`shards must be ≥ 1: got ${shards}`);
  for (const [kind, { host }] of wanted) {
    if (auth.mode === "none" && !isLoopback(host)) {
      faults.push(
        `listeners.${kind} on ${host} needs authentication: auth.mode "none" is for loopback only`,
      );
    }
  }
  if (auth.mode === "certificate") faults.push(...blindListeners(listeners));
  if (faults.length > 0) throw new InvalidConfigError(faults);
}

/** Where nothing is asked for a certificate, nobody could show one. */
function blindListeners({ tcp, tls, ws }: ListenersOptions): string[] {
  const blind = [
    ["tcp", tcp !== undefined],
    ["tls", tls !== undefined && tls.caFile === undefined],
    ["ws", ws !== undefined && ws.tls?.caFile === undefined],
  ] as const;
  return blind.flatMap(([kind, isBlind]) =>
    isBlind
      ? [`listeners.${kind} asks for no certificate, which auth.mode "certificate" needs`]
      : [],
  );
}
