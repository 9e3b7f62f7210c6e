/**
 * What the fold allows: every cap that keeps one input's cost bounded (P8).
 * @module
 */
import { assert, limits } from "../core/index.ts";
import { DEFAULT_RETENTION, type Retention } from "./buckets.ts";

export interface FoldPolicy extends Retention {
  /** The dimension of a tenant's embeddings, fixed for the tenant's life. */
  readonly dimOf: (tenant: string) => number;
  /** How much one device may say of one pattern of a tenant, 1 … `limits.WEIGHT_MAX` (THREATS 21). */
  readonly weightMaxOf: (tenant: string) => number;
  /** Live registers of one device. */
  readonly devicePatternsMax: number;
  /** Tombstones of one device; the oldest go first. */
  readonly deviceTombstonesMax: number;
  /** Patterns of one tenant on one shard. */
  readonly tenantPatternsMax: number;
  /** Tenants on one shard. */
  readonly tenantsMax: number;
}

/** Problems that a device's cursor remembers; the store's `CURSOR_PROBLEMS_MAX`. */
export const PROBLEMS_MAX = 8;
/** Characters of detail in a dead letter or a problem. */
export const DETAIL_CHARS_MAX = 200;

export const DEFAULT_FOLD_POLICY: FoldPolicy = {
  ...DEFAULT_RETENTION,
  dimOf: () => limits.DIMENSION_DEFAULT,
  weightMaxOf: () => limits.WEIGHT_MAX_DEFAULT,
  devicePatternsMax: limits.DEVICE_PATTERNS_MAX,
  deviceTombstonesMax: limits.DEVICE_PATTERNS_MAX,
  tenantPatternsMax: 4_096,
  tenantsMax: 1_024,
};

assert(
  limits.DELTA_ITEMS_MAX <= DEFAULT_FOLD_POLICY.devicePatternsMax,
  "a full delta fits an empty device",
);
