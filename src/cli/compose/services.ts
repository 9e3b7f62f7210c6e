/**
 * Configuration into services: each room's options filled in from one frozen object.
 * @module
 */
import { hostname } from "node:os";
import {
  type AuthOptions,
  createHttpService,
  ForeignGateway,
  Gateway,
  type HttpService,
  type JwtKeySource,
  type ListenersOptions,
  type TlsFiles,
} from "../../../gateway/index.ts";
import { Aggregator, ModelKeeper, Releaser } from "../../aggregate/index.ts";
import { assert, type Health, limits, type Service, systemClock } from "../../core/index.ts";
import type { HistorySink } from "../../fleet/oracle/index.ts";
import type { Logger, Metrics } from "../../observe/index.ts";
import type { Zstd } from "../../wire/index.ts";
import type { Config, Secret } from "../config.ts";
import type { OpenBackend } from "./backend.ts";
import { downlinkSource } from "./downlink-source.ts";
import { gatewayLimitsOf } from "./gateway-limits.ts";
import { recordedSessions } from "./history.ts";

/** What every service needs. */
export interface Parts {
  readonly config: Config;
  readonly backend: OpenBackend;
  readonly zstd: Zstd;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Null when no history is written. */
  readonly history: HistorySink | null;
}

/** Throws `InvalidConfigError` on what only the room itself can see, such as an unreadable key. */
export async function createGateway(parts: Parts): Promise<Gateway> {
  const { config } = parts;
  return new Gateway({
    ...(await gatewayParts(parts)),
    listeners: listenersOf(config.gateway),
    auth: authOf(config.gateway),
    ...revokedOf(config.gateway),
    drain: config.gateway.drain,
    ...(parts.history === null ? {} : { sessions: recordedSessions(parts.history) }),
  });
}

/** The gateway behind the broker at `url`. Throws like {@link createGateway}. */
export async function createForeignGateway(parts: Parts, url: Secret): Promise<ForeignGateway> {
  const { config } = parts;
  const { broker, drain, http } = config.gateway;
  const { username, password, caFile, clientId, ...rest } = broker;
  return new ForeignGateway({
    ...(await gatewayParts(parts)),
    broker: {
      ...rest,
      url: url.reveal(),
      ...(username === null ? {} : { username }),
      ...(password === null ? {} : { password: password.reveal() }),
      ...(caFile === null ? {} : { caFile }),
      clientId: clientId ?? `omega-${hostname()}-${http.port}`,
    },
    tenants: Object.keys(config.tenants),
    flushMs: drain.flushMs,
  });
}

/** What both kinds of gateway need. */
async function gatewayParts({ config, backend, zstd, log, metrics }: Parts) {
  const { http, fanoutPerS } = config.gateway;
  return {
    http: { host: http.host, port: http.port },
    shards: config.shards,
    producer: await backend.queue.producer(),
    source: downlinkSource(backend.store, dimsOf(config), zstd),
    limits: gatewayLimitsOf(config.gateway),
    downlinkLimits: { fanoutPerS },
    log: log.child({ room: "gateway" }),
    metrics,
    clock: systemClock,
  };
}

function createAggregator({ config, backend, zstd, log, metrics }: Parts): Aggregator {
  const { bucketMs, bucketsKept } = config.releaser;
  const { http: _, niceness: __, ...settings } = config.aggregator;
  return new Aggregator({
    queue: backend.queue,
    store: backend.store,
    zstd,
    policy: {
      ...{ dimOf: dimOf(config), weightMaxOf: weightMaxOf(config), bucketMs, bucketsKept },
    },
    settings,
    log: log.child({ room: "aggregate" }),
    metrics,
  });
}

/** Health and metrics of a process that has no gateway; null when switched off. */
export function createAggregatorHttp(
  { config, log, metrics }: Parts,
  health: Health,
): HttpService | null {
  const { enabled, host, port } = config.aggregator.http;
  return enabled ? createHttpService({ host, port, health, metrics, log }) : null;
}

/** Without `tenants`, it releases for every tenant of the configuration. */
function createReleaser(parts: Parts, tenants?: readonly string[]): Releaser {
  const { config, backend, zstd, log, metrics } = parts;
  const { cadenceMs, topK, minDevices, decayPerBucket, shrinkage } = config.releaser;
  const { bucketMs, bucketsKept } = config.releaser;
  return new Releaser({
    store: backend.store,
    zstd,
    tenants: tenants ?? Object.keys(config.tenants),
    dimOf: dimOf(config),
    policy: {
      ...{ patternsMax: topK, minDevices, decayPerBucket, shrinkage },
      ...{ bucketMs, bucketsKept },
    },
    settings: { cadenceMs, leaseTtlMs: config.aggregator.leaseTtlMs },
    log: log.child({ room: "releaser" }),
    metrics,
  });
}

/** What learns codec models from all that `aggregator` has in memory. */
function createModelKeeper(
  { config, backend, log, metrics }: Parts,
  aggregator: Aggregator,
  releaser: Releaser,
  tenants?: readonly string[],
): ModelKeeper {
  const { minSamples, minAgeMs } = config.codec;
  const { minDevices, cadenceMs } = config.releaser;
  return new ModelKeeper({
    store: backend.store,
    registers: aggregator,
    leases: releaser,
    tenants: tenants ?? Object.keys(config.tenants),
    dimOf: dimOf(config),
    policy: { minSamples, minDevices, minAgeMs },
    settings: { cadenceMs },
    log: log.child({ room: "codec" }),
    metrics,
  });
}

export interface Workers {
  readonly aggregator: Aggregator;
  readonly releaser: Releaser;
  /** Everything that runs, in the order to start it. */
  readonly services: readonly Service[];
}

/** All that works on the server's state; of every configured tenant, or of `tenants`. */
export function createWorkers(parts: Parts, tenants?: readonly string[]): Workers {
  const aggregator = createAggregator(parts);
  const releaser = createReleaser(parts, tenants);
  const learners = parts.config.codec.learn
    ? [createModelKeeper(parts, aggregator, releaser, tenants)]
    : [];
  return { aggregator, releaser, services: [aggregator, releaser, ...learners] };
}

function dimsOf(config: Config): Record<string, number> {
  return Object.fromEntries(Object.entries(config.tenants).map(([name, { dim }]) => [name, dim]));
}

/** Tenants nobody configured have the default dimension, so that a frame of theirs is judged, not fatal. */
function dimOf(config: Config): (tenant: string) => number {
  const dims = new Map(Object.entries(dimsOf(config)));
  const fallback = Math.max(...dims.values());
  return (tenant) => dims.get(tenant) ?? fallback;
}

/** Tenants nobody configured have no release to be moved. */
function weightMaxOf({ tenants }: Config): (tenant: string) => number {
  const weights = new Map(
    Object.entries(tenants).map(([name, { weightMax }]) => [name, weightMax]),
  );
  return (tenant) => weights.get(tenant) ?? limits.WEIGHT_MAX_DEFAULT;
}

function listenersOf({ tcp, tls, ws }: Config["gateway"]): ListenersOptions {
  return {
    ...(tcp.enabled ? { tcp: { host: tcp.host, port: tcp.port } } : {}),
    ...(tls.enabled ? { tls: { host: tls.host, port: tls.port, ...filesOf(tls) } } : {}),
    ...(ws.enabled ? { ws: wsOf(ws) } : {}),
  };
}

function wsOf(ws: Config["gateway"]["ws"]): NonNullable<ListenersOptions["ws"]> {
  const { host, port, path } = ws;
  return { host, port, path, ...(ws.certFile === null ? {} : { tls: filesOf(ws) }) };
}

interface FileNames {
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly caFile: string | null;
  readonly crlFile: string | null;
}

function filesOf({ certFile, keyFile, caFile, crlFile }: FileNames): TlsFiles {
  assert(certFile !== null && keyFile !== null, "config/rules.ts wants both files");
  return {
    ...{ certFile, keyFile },
    ...(caFile === null ? {} : { caFile }),
    ...(crlFile === null ? {} : { crlFile }),
  };
}

function revokedOf({ auth: { revokedFile } }: Config["gateway"]) {
  return revokedFile === null ? {} : { revokedFile };
}

function authOf({ auth }: Config["gateway"]): AuthOptions {
  const { mode, audience, issuer } = auth;
  if (mode === "none" || mode === "certificate") return { mode };
  if (mode === "password") return { mode, secret: secretOf(auth) };
  return { mode, key: keyOf(auth), audience, ...(issuer === null ? {} : { issuer }) };
}

function keyOf(auth: Config["gateway"]["auth"]): JwtKeySource {
  if (auth.jwksFile !== null) return { jwksFile: auth.jwksFile };
  if (auth.jwksUrl !== null) return { jwksUrl: auth.jwksUrl };
  return { secret: secretOf(auth) };
}

function secretOf({ secret }: Config["gateway"]["auth"]): string {
  assert(secret !== null, "config/rules.ts wants a secret for this mode");
  return secret.reveal();
}
