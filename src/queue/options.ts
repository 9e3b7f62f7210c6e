/**
 * What both backends may be told, and what they assume when they are not.
 * @module
 */
import { type Clock, type Random, systemClock, systemRandom } from "../core/index.ts";
import { type Logger, type Metrics, noMetrics } from "../observe/index.ts";
import { type ConsumerSettings, DEFAULT_CONSUMER } from "./consumer.ts";
import { DEFAULT_PREFIX, requireShards } from "./names.ts";

export interface QueueOptions {
  /** How many shards the devices are cut into, ≥ 1; the same in every process, for ever. */
  readonly shards: number;
  /** Begins every queue name; an id. Default "omega". */
  readonly prefix?: string;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** How long one add may take, milliseconds. Default 5,000. */
  readonly addTimeoutMs?: number;
  /** Bytes on their way to the queue in one producer before adds are refused. Default 32 MiB. */
  readonly pendingBytesMax?: number;
  /** How long the first connection may take, milliseconds. Default 10,000. */
  readonly startTimeoutMs?: number;
  /** What is done about a backend that could lose what it acknowledged. Default "warn". */
  readonly unsafe?: "refuse" | "warn" | "ignore";
  /** Replicas of Redis that must have an add before it counts as durable; 0, the default, for none. */
  readonly replicas?: number;
  readonly consumer?: Partial<ConsumerSettings>;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface ResolvedOptions extends Required<Omit<QueueOptions, "consumer">> {
  readonly consumer: ConsumerSettings;
}

/** Throws `InvalidConfigError` when the prefix is not an id. */
export function resolveOptions(options: QueueOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    shards: options.shards,
    prefix: options.prefix ?? DEFAULT_PREFIX,
    log: options.log,
    metrics: options.metrics ?? noMetrics,
    addTimeoutMs: options.addTimeoutMs ?? 5_000,
    pendingBytesMax: options.pendingBytesMax ?? 32 * 1024 * 1024,
    startTimeoutMs: options.startTimeoutMs ?? 10_000,
    unsafe: options.unsafe ?? "warn",
    replicas: options.replicas ?? 0,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    consumer: { ...DEFAULT_CONSUMER, ...options.consumer },
  };
  requireShards(resolved.prefix, resolved.shards);
  return resolved;
}
