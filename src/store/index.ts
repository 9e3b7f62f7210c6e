export {
  childChannel,
  connectEmbedded,
  type EmbeddedDatabase,
  openEmbedded,
  parentChannel,
} from "./embedded/index.ts";
export { memoryStore } from "./memory.ts";
export type { StoreOptions } from "./options.ts";
export {
  type Commit,
  type CurrentLadders,
  type DeadLetter,
  type DeviceCursor,
  type DeviceRecord,
  type DeviceWrite,
  type RecentRelease,
  type Rendition1,
  releaserLease,
  type ShardStats,
  type Store,
  type StoredModel,
  type StoredRelease,
  type StoreListener,
  type SumRow,
  shardLease,
} from "./port.ts";
export { postgresStore } from "./postgres.ts";
export { openPostgresPool } from "./postgres-pool.ts";
export { redisStore } from "./redis.ts";
