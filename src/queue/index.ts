export {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  decodeBatch,
  ENTRY_FRAME_BYTES_MAX,
  encodeBatch,
} from "./batch.ts";
export { type ConsumerSettings, DEFAULT_CONSUMER } from "./consumer.ts";
export { DEFAULT_PREFIX, queueName } from "./names.ts";
export type { QueueOptions } from "./options.ts";
export type {
  ConsumerHooks,
  DeltaConsumer,
  DeltaProducer,
  EntryHandler,
  FailedJob,
  PoisonJob,
  QueueBackend,
  QueueEntry,
} from "./port.ts";
export { type PostgresQueueOptions, postgresQueue } from "./postgres.ts";
export { type RedisQueueOptions, redisQueue } from "./redis.ts";
