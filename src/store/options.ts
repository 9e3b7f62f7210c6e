/**
 * What every store adapter may be told, with the defaults beside it.
 * @module
 */
import { InvalidConfigError } from "../core/index.ts";

export interface StoreOptions {
  /** How many shards the devices are spread over, 1 … 4096. Frozen once data exists. */
  readonly shards: number;
  /** Releases kept per tenant, as bases of ladders; 8 by default. */
  readonly releasesKept?: number;
  /** Dead-letter payloads kept per shard; older ones are only counted; 1,000 by default. */
  readonly deadLettersKept?: number;
}

/**
 * No lease is given for so long (`aggregator.leaseTtlMs` is at most half of it), milliseconds. One
 * that ends later was written under a clock of the server that has been set back since. Its owner, if
 * there is one, is fenced off by the next token and begins anew.
 */
export const LEASE_AHEAD_MS_MAX = 600_000;

const SHARDS_MAX = 4096;
const RELEASES_KEPT_DEFAULT = 8;
const DEAD_LETTERS_KEPT_DEFAULT = 1_000;

/** Options with every default filled in. */
export type ResolvedStoreOptions = Required<StoreOptions>;

/** Throws `InvalidConfigError` that lists every fault. */
export function resolveStoreOptions(options: StoreOptions): ResolvedStoreOptions {
  const resolved = {
    shards: options.shards,
    releasesKept: options.releasesKept ?? RELEASES_KEPT_DEFAULT,
    deadLettersKept: options.deadLettersKept ?? DEAD_LETTERS_KEPT_DEFAULT,
  };
  const faults: string[] = [];
  const within = (name: keyof typeof resolved, max: number) => {
    const value = resolved[name];
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
    faults.push(`${name} must be an integer in 1 … ${max}: got ${value}`);
  };
  within("shards", SHARDS_MAX);
  within("releasesKept", 64);
  within("deadLettersKept", 100_000);
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return resolved;
}
