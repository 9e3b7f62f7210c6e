/**
 * Dead letters and problems: how a delta that was not applied is kept and told.
 * @module
 */
import { type DeviceKey, shardOf } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import { DETAIL_CHARS_MAX } from "./fold-policy.ts";
import type { FoldDeadLetter } from "./fold-state.ts";

const TITLE = "This delta was not applied";
/** What is kept of a job that is no batch; the largest batch takes 1.4 MB as base64. */
const POISON_BYTES_MAX = 2 * 1024 * 1024;
/** The tenant of dead letters that are no device's. */
const NOBODY = "-";

/**
 * An id that is the same whenever the same frame is folded again, so that a replayed job does not
 * bury it twice: the position where it was consumed, else the frame's hash and arrival time.
 */
export function deadLetterId(
  entry: { readonly key: DeviceKey; readonly receivedAtMs: number; readonly frame: Uint8Array },
  consumed: Position | null,
): string {
  const { tenant, device } = entry.key;
  const owner = `${device}.${hash64(new TextEncoder().encode(tenant))}`;
  if (consumed !== null) return `${owner}.${consumed.epoch}.${consumed.seq}`;
  return `${owner}.x.${entry.receivedAtMs}.${hash64(entry.frame)}`;
}

/**
 * The dead letter of a whole job whose bytes are no batch: nobody can say whose frames it held, so
 * its key is one of the reserved tenant "-" that lies on the job's shard, and no device hears of
 * it. `frame` is the job's data as text (base64, or JSON), its first 2 MiB if it is longer.
 */
export function poisonLetter(
  job: {
    readonly shard: number;
    readonly jobId: string;
    readonly reason: string;
    readonly detail: string;
    readonly raw: string;
  },
  shards: number,
  nowMs: number,
): FoldDeadLetter {
  const raw = new TextEncoder().encode(job.raw);
  return {
    id: `poison.${hash64(new TextEncoder().encode(job.jobId))}.${hash64(raw)}`,
    key: nobodyOn(job.shard, shards),
    position: null,
    reason: job.reason,
    detail: clipDetail(job.detail),
    receivedAtMs: nowMs,
    frame: raw.subarray(0, POISON_BYTES_MAX),
  };
}

/** The first of the devices "0", "1", … of tenant "-" that belongs to `shard`. */
function nobodyOn(shard: number, shards: number): DeviceKey {
  for (let number = 0; ; number += 1) {
    const key = { tenant: NOBODY, device: `${number}` };
    if (shardOf(key, shards) === shard) return key;
  }
}

/** What the device is told on its err topic. */
export function problemOf(reason: string, detail: string, position: Position | null): Problem {
  return { reason, title: TITLE, detail: clipDetail(detail), position };
}

/** At most {@link DETAIL_CHARS_MAX} UTF-16 units, without half of a surrogate pair at the end. */
export function clipDetail(detail: string): string {
  if (detail.length <= DETAIL_CHARS_MAX) return detail;
  return detail.slice(0, DETAIL_CHARS_MAX).replace(/[\ud800-\udbff]$/, "");
}

/** 16 hex digits: two lanes of 32-bit FNV-1a with different offsets. Tells apart, protects nothing. */
function hash64(bytes: Uint8Array): string {
  let left = 0x811c9dc5;
  let right = 0xcbf29ce4;
  for (const byte of bytes) {
    left = Math.imul(left ^ byte, 0x01000193);
    right = Math.imul(right ^ byte, 0x01000193) ^ (left >>> 7);
  }
  const hex = (lane: number) => (lane >>> 0).toString(16).padStart(8, "0");
  return hex(left) + hex(right);
}
