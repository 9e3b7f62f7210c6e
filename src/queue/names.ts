/**
 * Names in the backend: one BullMQ queue per shard.
 *
 * The braces are a Redis Cluster hash tag: all keys of one shard live in one
 * slot, and shards spread over the nodes. Names are made from our prefix and
 * a number, and job ids are BullMQ's own counters, so nothing that a device
 * chose ever becomes a key (THREATS 22: a job id `meta` overwrites BullMQ's own hash).
 * @module
 */
import { assert, requireId } from "../core/index.ts";

export const DEFAULT_PREFIX = "omega";
/** The name of every job; BullMQ wants one. */
export const JOB_NAME = "batch";

/** The BullMQ queue of a shard, an integer in 0..shards-1. */
export function queueName(prefix: string, shard: number): string {
  assert(Number.isInteger(shard) && shard >= 0, `a shard is a natural number: got ${shard}`);
  return `{${requireId("queue prefix", prefix)}-${shard}}`;
}

/** Throws `InvalidConfigError` unless the pair can name queues. */
export function requireShards(prefix: string, shards: number): void {
  requireId("queue prefix", prefix);
  assert(Number.isInteger(shards) && shards >= 1, `shards must be ≥ 1: got ${shards}`);
}
