export {
  Aggregator,
  type AggregatorOptions,
  type AggregatorSettings,
  DEFAULT_AGGREGATOR_SETTINGS,
} from "./aggregator.ts";
export { bucketOf, DEFAULT_RETENTION, type Retention } from "./buckets.ts";
export { consumedCount, type EpochSeen, newestConsumed } from "./dedup.ts";
export { fold } from "./fold.ts";
export { DEFAULT_FOLD_POLICY, type FoldPolicy } from "./fold-policy.ts";
export { readFrame } from "./fold-read.ts";
export type { DeviceState, FoldEntry, Folded, FoldState, Outcome } from "./fold-state.ts";
export { decodeRegister, type Register } from "./register.ts";
export {
  DEFAULT_RELEASER_SETTINGS,
  Releaser,
  type ReleaserOptions,
  type ReleaserSettings,
  type RoundOutcome,
} from "./releaser.ts";
export { decodeSums, type PatternSums } from "./sums.ts";
export { type ShardVerdict, type SumMismatch, verifyShard, verifyShards } from "./verify.ts";
export { DEFAULT_VERSION_POLICY, type VersionPolicy } from "./version-policy.ts";
