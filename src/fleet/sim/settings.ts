/**
 * What simulated worlds have in common, and the two paces at which they live.
 *
 * `dense` worlds have small numbers, so that minutes hold what weeks would: leases
 * and locks are a few times what chance lets a fault last, in both directions, so
 * that some faults are shorter and some longer. `real` worlds have the product's
 * defaults and live for hours, as TVs do that speak every few minutes.
 * @module
 */
import type { SyncClientOptions } from "../../../device/index.ts";
import type { DownlinkLimits, GatewayLimits } from "../../../gateway/index.ts";
import { type Aggregator, DEFAULT_RETENTION, type Releaser } from "../../aggregate/index.ts";

export const TENANT = "acme";
export const DIM = 8;
export const PATTERNS = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"] as const;

/** How long one call to the queue or the store may take. */
export const CALL_TIMEOUT_MS = 5_000;

type AggregatorOptions = ConstructorParameters<typeof Aggregator>[0];
type ReleaserOptions = ConstructorParameters<typeof Releaser>[0];
type Range = readonly [min: number, max: number];

/** Times in milliseconds. */
export interface Pace {
  readonly devices: Range;
  /** How long there are deltas and faults, in minutes. */
  readonly activeMinutes: Range;
  /** Mean times between two deltas of a device, one of which a world has. */
  readonly putEveryMs: readonly number[];
  /** Three faults in five last for the one, the others for the other. */
  readonly shortFaultMs: Range;
  readonly longFaultMs: Range;
  readonly retention: typeof DEFAULT_RETENTION;
  readonly aggregator: AggregatorOptions["settings"] & {};
  readonly releaser: ReleaserOptions["settings"] & {};
  readonly version: ReleaserOptions["policy"] & {};
  readonly gateway: Partial<GatewayLimits>;
  readonly downlink: Partial<DownlinkLimits>;
  readonly device: Partial<SyncClientOptions>;
  /** How often a world that heals is looked at. */
  readonly lookMs: number;
  /** How often devices are asked what they believe. */
  readonly askMs: number;
  /** After the last fault everything must be right within this time. */
  readonly restMsMax: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DENSE_RETENTION = { bucketMs: 120_000, bucketsKept: 60 };
/** Every device counts, and there is room for all patterns. */
const OF_FEW = { minDevices: 1, patternsMax: PATTERNS.length };

export const PACES = {
  dense: {
    devices: [3, 5],
    activeMinutes: [1, 4],
    putEveryMs: [6_000, 12_000, 30_000],
    shortFaultMs: [200, 8_000],
    longFaultMs: [8_000, 50_000],
    retention: DENSE_RETENTION,
    aggregator: {
      tickMs: 4_000,
      leaseTtlMs: 15_000,
      commitIntervalMs: 200,
      commitEntriesMax: 32,
      deferMs: 20_000,
      deferredMax: 64,
      stopMs: 3_000,
      // A few devices, so that some are read back.
      cachedBytesMax: 4_096,
    },
    releaser: { cadenceMs: 20_000, leaseTtlMs: 20_000 },
    version: { ...DENSE_RETENTION, ...OF_FEW, holdDistance: 0.1, holdShare: 0.5 },
    gateway: { addTimeoutMs: 6_000, batchCountMax: 8 },
    downlink: { pollMs: 15_000, refreshMs: 60_000, jitterMsMax: 250 },
    device: {
      keepalive: 20,
      timeout: 10,
      connectTimeoutMs: 4_000,
      loginTimeoutMs: 8_000,
      backoff: { delayMsBase: 500, delayMsMax: 20_000 },
      stableMs: 20_000,
      failBackMs: 60_000,
      outboxBytesMax: 64 * 1024,
    },
    lookMs: 2_000,
    askMs: 6_000,
    restMsMax: 600_000,
  },
  real: {
    devices: [8, 20],
    activeMinutes: [60, 360],
    putEveryMs: [5 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS],
    shortFaultMs: [200, 30_000],
    longFaultMs: [30_000, 30 * MINUTE_MS],
    retention: DEFAULT_RETENTION,
    aggregator: {},
    releaser: {},
    version: OF_FEW,
    gateway: {},
    downlink: {},
    device: {},
    lookMs: MINUTE_MS,
    askMs: 5 * MINUTE_MS,
    restMsMax: HOUR_MS,
  },
} as const satisfies Readonly<Record<string, Pace>>;
export type PaceName = keyof typeof PACES;
