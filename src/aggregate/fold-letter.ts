/**
 * Dead letters and problems: how a delta that was not applied is kept and told.
 * @module
 */
import type { DeviceKey } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import { DETAIL_CHARS_MAX } from "./fold-policy.ts";

const TITLE = "This delta was not applied";

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
