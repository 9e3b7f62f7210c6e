/**
 * The device room's door: everything a TV needs.
 * @module
 */
export {
  ERROR_CODES,
  type ErrorCode,
  InvalidConfigError,
  OmegaError,
  RetryExhaustedError,
} from "../src/core/index.ts";
export type { Position, Problem, Trend } from "../src/wire/index.ts";
export { SyncClientBuilder } from "./builder.ts";
export type { SyncClientEvents, SyncClientStats, SyncResult } from "./client-events.ts";
export type {
  Link,
  LinkHandlers,
  LinkOptions,
  MessageLine,
  OpenLink,
  TlsOptions,
} from "./link.ts";
export { openMqttLink } from "./link.ts";
export type { Credentials, EndpointOption, SyncClientOptions } from "./options.ts";
export type { GlobalPattern } from "./patterns.ts";
export { Session } from "./session.ts";
export { REFUSALS_MAX, restoreOutbox } from "./session-apply.ts";
export type {
  CodecChoice,
  CodecMode,
  Effect,
  Notice,
  Phase,
  SessionEvent,
  SessionOptions,
  SessionStats,
  SessionTimer,
} from "./session-events.ts";
export type { Held } from "./session-held.ts";
export { type Delta, intake, type Pattern } from "./session-intake.ts";
export { type HeldModel, HeldModels } from "./session-models.ts";
export { type BelievedRegister, createOutbox, type OutboxState } from "./session-state.ts";
export { MemoryStorage, type OutboxStorage, type StoredLog, type StoredModel } from "./storage.ts";
export { FileStorage } from "./storage-file.ts";
export { SyncClient } from "./sync-client.ts";
