export { COMMIT_BYTES_MAX, COMMIT_ITEMS_MAX } from "./commit-check.ts";
export {
  type Channel,
  childChannel,
  connectEmbedded,
  type EmbeddedDatabase,
  type EmbeddedOptions,
  openEmbedded,
  parentChannel,
  SURVIVES,
  serveEmbedded,
} from "./embedded/index.ts";
export { type MemoryStoreOptions, memoryStore } from "./memory.ts";
export type { StoreOptions } from "./options.ts";
export {
  type Commit,
  CURSOR_AHEAD_BYTES,
  CURSOR_EPOCHS_MAX,
  CURSOR_PROBLEMS_MAX,
  type DeadLetter,
  type DeviceCursor,
  type DeviceRecord,
  type DeviceWrite,
  type EpochCursor,
  type LoadedShard,
  releaserLease,
  type ShardStats,
  type ShardSums,
  type Store,
  type StoredRelease,
  type StoreListener,
  type SumRow,
  shardLease,
} from "./port.ts";
export { type PostgresStoreOptions, postgresStore } from "./postgres.ts";
export { openPostgresPool, type PostgresPool, type PostgresPoolOptions } from "./postgres-pool.ts";
export { type RedisStoreOptions, redisStore } from "./redis.ts";
