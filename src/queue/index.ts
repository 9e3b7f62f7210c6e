export {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  decodeBatch,
  ENTRY_FRAME_BYTES_MAX,
  encodeBatch,
} from "./batch.ts";
export { ShardConsumer } from "./consumer.ts";
export type { QueueOptions } from "./options.ts";
export type {
  ConsumerHooks,
  DeltaConsumer,
  DeltaProducer,
  EntryHandler,
  PoisonJob,
  QueueBackend,
  QueueEntry,
} from "./port.ts";
export { postgresQueue } from "./postgres.ts";
export { ShardProducer } from "./producer.ts";
export { redisQueue } from "./redis.ts";
