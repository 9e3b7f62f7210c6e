/**
 * Configuration of a sync client: defaults beside their types, all faults reported at once.
 * @module
 */
import {
  type BackoffPolicy,
  type Clock,
  DEFAULT_BACKOFF,
  ID_PATTERN,
  InvalidConfigError,
  isId,
  limits,
  type Random,
  systemClock,
  systemRandom,
} from "../src/core/index.ts";
import type { Zstd } from "../src/wire/index.ts";
import { type OpenLink, openMqttLink, type TlsOptions } from "./link.ts";
import type { Endpoint } from "./session-endpoints.ts";
import type { CodecChoice, CodecMode } from "./session-events.ts";
import { show } from "./show.ts";
import type { OutboxStorage } from "./storage.ts";

export interface Credentials {
  /** Default `tenant/deviceId`. */
  readonly username?: string;
  /** A password or token, or how to get a fresh one; asked before every connection. */
  readonly password?: string | (() => Promise<string> | string);
}

export type EndpointOption = string | { readonly url: string; readonly priority?: number };

export interface SyncClientOptions {
  /** 1–64 characters of `A–Z a–z 0–9 _ -`. */
  readonly deviceId: string;
  /** Default `default`. */
  readonly tenant?: string;
  /** One or more `mqtt:// mqtts:// ws:// wss://` URLs; lower `priority` (default 0) is preferred. */
  readonly endpoints: EndpointOption | readonly EndpointOption[];
  readonly credentials?: Credentials;
  readonly tls?: TlsOptions;
  /** Numbers per embedding, 8–4096, the same for all devices of a tenant. Default 384. */
  readonly dim?: number;
  /** Directory of the durable outbox, one per device. Either this or `storage`. */
  readonly dataDir?: string;
  /** Another place for the outbox, for example `new MemoryStorage()`, which forgets at exit. */
  readonly storage?: OutboxStorage;
  /** Seconds between syncs, 300–900. Default 300. */
  readonly syncInterval?: number;
  /** Allows any positive `syncInterval`, for demos and tests. */
  readonly allowAnySyncInterval?: boolean;
  /** `sync()` gives up waiting after this many timeouts, 3–5. Default 3. */
  readonly retryAttempts?: number;
  /** Seconds to wait for an acknowledgement before reconnecting, above 0 to 300. Default 30. */
  readonly timeout?: number;
  /** For a gateway's TCP connection, then for SUBACK, 100–60,000. Default 4000. */
  readonly connectTimeoutMs?: number;
  /**
   * From the beginning of an attempt to CONNACK, 100–300,000. Default 30,000: when thousands come
   * back at once, a gateway lets them in one by one.
   */
  readonly loginTimeoutMs?: number;
  /** Reconnect delays. Default full jitter from 1 s to 300 s. */
  readonly backoff?: BackoffPolicy;
  /** Uptime after which failures are forgotten, ms. Default 60,000. */
  readonly stableMs?: number;
  /** Time on a second choice before going back to a preferred endpoint, ms. Default 600,000. */
  readonly failBackMs?: number;
  /** MQTT keepalive in seconds, 10–65,535. Default 300. */
  readonly keepalive?: number;
  /** Bound of unsent and unacknowledged data in the outbox. Default 8 MiB, at least 64 KiB. */
  readonly outboxBytesMax?: number;
  /**
   * What deltas are coded with, and which releases this device reads: 1 (default) is the transform
   * codec, ten patterns to a kilobyte; 0 is int8, which any server understands.
   */
  readonly codec?: CodecChoice;
  /**
   * With codec 1, what the error of a vector is like: `tracking` (default), as small as the bytes
   * allow; `unbiased`, larger, but with a mean of zero over many devices.
   */
  readonly mode?: CodecMode;
  /** Bound of one frame, at most 15 KiB. Default 1024 for codec 1, 15 KiB for codec 0. */
  readonly budgetBytes?: number;
  /**
   * Bound of bytes sent and received within 24 hours of this process: frames get smaller as it comes
   * near, and when it is used up new deltas wait in the outbox for the next day. Default none.
   */
  readonly dailyBytesMax?: number;
  /** How long `stop()` waits for acknowledgements under way, ms. Default 2000. */
  readonly stopTimeoutMs?: number;
  /** Default: whatever `loadZstd()` finds on this machine. */
  readonly zstd?: Zstd;
  readonly clock?: Clock;
  readonly random?: Random;
  /** How connections are made. Default MQTT 3.1.1 over mqtt.js. */
  readonly openLink?: OpenLink;
}

/** Options with every default in place; durations in the unit of their name. */
export interface ResolvedOptions
  extends Required<
    Omit<
      SyncClientOptions,
      | "endpoints"
      | "tls"
      | "dataDir"
      | "storage"
      | "zstd"
      | "allowAnySyncInterval"
      | "dailyBytesMax"
    >
  > {
  readonly endpoints: readonly Endpoint[];
  readonly tls: TlsOptions | undefined;
  readonly dataDir: string | undefined;
  readonly storage: OutboxStorage | undefined;
  readonly zstd: Zstd | undefined;
  readonly dailyBytesMax: number | null;
}

const SYNC_INTERVAL_S_MIN = 300;
const SYNC_INTERVAL_S_MAX = 900;
const MODES: readonly CodecMode[] = ["tracking", "unbiased"];
const PROTOCOLS = ["mqtt:", "mqtts:", "ws:", "wss:"];
/** What ten patterns take with codec 1. */
const BUDGET_BYTES_CODEC_1 = 1_024;
/** A frame must hold one embedding with its id and header; codec 1 can be a quarter as fine. */
const BUDGET_BYTES_BESIDE_EMBEDDING = 256;
const CODEC_1_COMPONENTS_PER_BYTE = 4;
/** Below it not even the frames that keep a device up to date would fit into a day. */
const DAILY_BYTES_MIN = 64 * 1024;

/** Validates and completes. Throws {@link InvalidConfigError} with every fault in `faults`. */
export function resolveOptions(options: SyncClientOptions): ResolvedOptions {
  const faults: string[] = [];
  const dim = options.dim ?? limits.DIMENSION_DEFAULT;
  const backoff = options.backoff ?? DEFAULT_BACKOFF;
  const { deviceId, tenant = "default", codec = 1 } = options;
  const resolved: ResolvedOptions = {
    deviceId,
    tenant,
    endpoints: endpointsOf(options.endpoints, faults),
    credentials: options.credentials ?? {},
    tls: options.tls,
    dim,
    dataDir: options.dataDir,
    storage: options.storage,
    syncInterval: options.syncInterval ?? SYNC_INTERVAL_S_MIN,
    retryAttempts: options.retryAttempts ?? 3,
    timeout: options.timeout ?? 30,
    connectTimeoutMs: options.connectTimeoutMs ?? 4_000,
    loginTimeoutMs: options.loginTimeoutMs ?? 30_000,
    backoff,
    stableMs: options.stableMs ?? 60_000,
    failBackMs: options.failBackMs ?? 600_000,
    keepalive: options.keepalive ?? 300,
    outboxBytesMax: options.outboxBytesMax ?? 8 * 1024 * 1024,
    codec,
    mode: options.mode ?? "tracking",
    budgetBytes: options.budgetBytes ?? budgetDefault(codec, dim),
    dailyBytesMax: options.dailyBytesMax ?? null,
    stopTimeoutMs: options.stopTimeoutMs ?? 2_000,
    zstd: options.zstd,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    openLink: options.openLink ?? openMqttLink,
  };
  checkNames(resolved, faults);
  checkStorage(resolved, faults);
  checkNumbers(resolved, options.allowAnySyncInterval === true, faults);
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return resolved;
}

/** Codec 1 keeps its promise of a kilobyte for any dimension that one can hold. */
function budgetDefault(codec: CodecChoice, dim: number): number {
  if (codec === 0) return limits.UP_FRAME_BYTES_MAX;
  return Math.max(BUDGET_BYTES_CODEC_1, budgetMin(codec, dim));
}

function budgetMin(codec: CodecChoice, dim: number): number {
  const bytes = codec === 0 ? dim : Math.ceil(dim / CODEC_1_COMPONENTS_PER_BYTE);
  return Math.min(limits.UP_FRAME_BYTES_MAX, bytes + BUDGET_BYTES_BESIDE_EMBEDDING);
}

function endpointsOf(option: SyncClientOptions["endpoints"], faults: string[]): Endpoint[] {
  const options = Array.isArray(option) ? option : option === undefined ? [] : [option];
  if (options.length === 0)
    faults.push("endpoints must name at least one mqtt(s):// or ws(s):// URL: got none");
  return options.map((entry: EndpointOption, index: number) => {
    const { url, priority = 0 } = typeof entry === "string" ? { url: entry } : entry;
    const what = `endpoints[${index}]`;
    const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : null;
    if (parsed === null || !PROTOCOLS.includes(parsed.protocol) || parsed.hostname === "") {
      faults.push(`${what} must be an mqtt:// mqtts:// ws:// or wss:// URL: got ${show(url)}`);
    } else if (parsed.username !== "" || parsed.password !== "" || parsed.search !== "") {
      // mqtt.js would let them override the credentials and even the client id.
      faults.push(`${what} must hold neither login nor query: use credentials instead`);
    }
    if (!Number.isFinite(priority)) {
      faults.push(`${what}.priority must be a number: got ${show(priority)}`);
    }
    return { url, priority };
  });
}

function checkNames({ deviceId, tenant, credentials }: ResolvedOptions, faults: string[]): void {
  if (!isId(deviceId))
    faults.push(`deviceId must match ${ID_PATTERN.source}: got ${show(deviceId)}`);
  if (!isId(tenant)) faults.push(`tenant must match ${ID_PATTERN.source}: got ${show(tenant)}`);
  const { username, password } = credentials;
  if (username !== undefined && (typeof username !== "string" || username === "")) {
    faults.push(`credentials.username must be a non-empty string: got ${show(username)}`);
  }
  if (password !== undefined && typeof password !== "string" && typeof password !== "function") {
    faults.push("credentials.password must be a string or a function"); // Its value stays out of messages.
  }
}

function checkStorage({ dataDir, storage }: ResolvedOptions, faults: string[]): void {
  if ((dataDir === undefined) === (storage === undefined)) {
    faults.push(
      `exactly one of dataDir and storage must be given: got ${dataDir === undefined ? "none" : "both"}; ` +
        "storage: new MemoryStorage() keeps nothing across a restart",
    );
  }
  if (dataDir === "") faults.push('dataDir must be a path: got ""');
}

function checkNumbers(options: ResolvedOptions, anyInterval: boolean, faults: string[]): void {
  const integer = (name: keyof ResolvedOptions, min: number, max: number) => {
    const value = options[name] as number;
    if (!Number.isInteger(value) || value < min || value > max) {
      faults.push(`${name} must be an integer ${min}..${max}: got ${show(value)}`);
    }
  };
  integer("dim", limits.DIMENSION_MIN, limits.DIMENSION_MAX);
  integer("retryAttempts", 3, 5);
  integer("connectTimeoutMs", 100, 60_000);
  integer("loginTimeoutMs", 100, 300_000);
  integer("keepalive", 10, 65_535);
  integer("stableMs", 0, 86_400_000);
  integer("failBackMs", 0, 86_400_000);
  integer("stopTimeoutMs", 0, 600_000);
  integer("outboxBytesMax", 64 * 1024, 1024 * 1024 * 1024);
  integer("codec", 0, 1);
  integer("budgetBytes", budgetMin(options.codec, options.dim), limits.UP_FRAME_BYTES_MAX);
  if (options.dailyBytesMax !== null) {
    integer("dailyBytesMax", DAILY_BYTES_MIN, Number.MAX_SAFE_INTEGER);
  }
  if (!MODES.includes(options.mode)) {
    faults.push(`mode must be one of ${MODES.join(", ")}: got ${show(options.mode)}`);
  }
  if (!(options.timeout > 0 && options.timeout <= 300)) {
    faults.push(`timeout must be above 0 and at most 300 seconds: got ${show(options.timeout)}`);
  }
  const { syncInterval } = options;
  if (anyInterval) {
    if (!(syncInterval > 0 && Number.isFinite(syncInterval))) {
      faults.push(`syncInterval must be above 0 seconds: got ${show(syncInterval)}`);
    }
  } else if (!(syncInterval >= SYNC_INTERVAL_S_MIN && syncInterval <= SYNC_INTERVAL_S_MAX)) {
    faults.push(
      `syncInterval must be ${SYNC_INTERVAL_S_MIN}..${SYNC_INTERVAL_S_MAX} seconds: got ${show(syncInterval)}; ` +
        "allowAnySyncInterval: true lifts this outside production",
    );
  }
  const { delayMsBase, delayMsMax } = options.backoff;
  if (!(delayMsBase > 0 && delayMsMax >= delayMsBase && Number.isFinite(delayMsMax))) {
    faults.push(
      `backoff must have 0 < delayMsBase ≤ delayMsMax: got ${show(delayMsBase)} and ${show(delayMsMax)}`,
    );
  }
}
