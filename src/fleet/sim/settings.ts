/**
 * What every simulated world has in common: small numbers, so that an hour is lived in milliseconds.
 *
 * Leases and locks are a few times what chance lets a fault last, in both
 * directions, so that some faults are shorter and some longer.
 * @module
 */
export const TENANT = "acme";
export const DIM = 8;
export const PATTERNS = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"] as const;

export const RETENTION = { bucketMs: 120_000, bucketsKept: 60 };

export const AGGREGATOR_SETTINGS = {
  tickMs: 4_000,
  leaseTtlMs: 15_000,
  commitIntervalMs: 200,
  commitEntriesMax: 32,
  deferMs: 20_000,
  deferredMax: 64,
  stopMs: 3_000,
  // A few devices, so that some are read back.
  cachedBytesMax: 4_096,
};

export const RELEASER_SETTINGS = { cadenceMs: 20_000, leaseTtlMs: 20_000 };
export const VERSION_POLICY = {
  ...RETENTION,
  minDevices: 1,
  patternsMax: 8,
  holdDistance: 0.1,
  holdShare: 0.5,
};

export const DOWNLINK_LIMITS = { pollMs: 15_000, refreshMs: 60_000, jitterMsMax: 250 };

export const DEVICE_OPTIONS = {
  dim: DIM,
  keepalive: 20,
  timeout: 10,
  connectTimeoutMs: 4_000,
  backoff: { delayMsBase: 500, delayMsMax: 20_000 },
  stableMs: 20_000,
  failBackMs: 60_000,
  outboxBytesMax: 64 * 1024,
};

/** How long one call to the queue or the store may take. */
export const CALL_TIMEOUT_MS = 5_000;
/** After the last fault everything must be right within this time. */
export const REST_MS_MAX = 600_000;
