export { assert, unreachable } from "./assert.ts";
export { type BackoffPolicy, backoffDelayMs, DEFAULT_BACKOFF } from "./backoff.ts";
export { type Clock, sleep, systemClock, type Timer } from "./clock.ts";
export {
  CompressionError,
  ERROR_CODES,
  type ErrorCode,
  InvalidConfigError,
  messageOf,
  NetworkError,
  OmegaError,
  ProtocolError,
  RetryExhaustedError,
  SerializationError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
export { type DeviceKey, deviceName, ID_PATTERN, isId, parseDeviceName, requireId } from "./ids.ts";
export * as limits from "./limits.ts";
export { isLoopback } from "./loopback.ts";
export { perObject } from "./per-object.ts";
export { integerBelow, type Random, seededRandom, systemRandom } from "./random.ts";
export { sameBytes } from "./same-bytes.ts";
export { type Health, type Readiness, type Service, startAll, stopAll } from "./service.ts";
export { shardOf } from "./shard.ts";
export type { SqlClient, SqlNotification, SqlPool, SqlResult } from "./sql.ts";
export { within } from "./within.ts";
