/**
 * The limits that more than one room must agree on. They check each other when the module loads.
 * @module
 */
import { assert } from "./assert.ts";

/** The largest frame a device may publish (THREATS 12: larger packets are cut off unread). */
export const UP_FRAME_BYTES_MAX = 15 * 1024;
/** The largest MQTT packet read from a device before and after its CONNECT was accepted. */
export const PACKET_BYTES_MAX_UNAUTHENTICATED = 2 * 1024;
export const PACKET_BYTES_MAX = 16 * 1024;
/** The largest frame a gateway sends. */
export const DOWN_FRAME_BYTES_MAX = 64 * 1024;
/**
 * The largest frame of a codec model, the only message that outgrows a down frame: 8 bits for each
 * of 1024 × 1024 entries; of 384 × 384 it is 149 KB. It is made by the server and fetched once.
 */
export const MODEL_FRAME_BYTES_MAX = 1032 * 1024;
/** The largest body after decompression, in either direction. */
export const BODY_BYTES_MAX = 64 * 1024;
/** The largest frame header. */
export const HEADER_BYTES_MAX = 128;

export const DIMENSION_MIN = 8;
export const DIMENSION_MAX = 4096;
export const DIMENSION_DEFAULT = 384;

/** Upserts plus removals in one delta. */
export const DELTA_ITEMS_MAX = 256;
/** Patterns a device may keep registered at the server. */
export const DEVICE_PATTERNS_MAX = 1024;
/** One device's say about one pattern (a vote is bounded, whatever the device claims). */
export const WEIGHT_MAX = 1023;
/**
 * What of it a tenant takes when nobody said otherwise: hundredths of √50, the
 * most that a viewer with 50 likes, all of one kind, weighs (THREATS 21).
 */
export const WEIGHT_MAX_DEFAULT = 707;
/** Deltas a device may have sent and not seen acknowledged. */
export const DEVICE_INFLIGHT_MAX = 16;
/** How far beyond the first missing seq the aggregator remembers which seqs it has seen. */
export const DEDUP_WINDOW = 256;

assert(UP_FRAME_BYTES_MAX < PACKET_BYTES_MAX, "a frame fits in a packet with its topic");
assert(HEADER_BYTES_MAX < UP_FRAME_BYTES_MAX, "a header fits in a frame");
assert(DEVICE_INFLIGHT_MAX * 4 <= DEDUP_WINDOW, "an honest device never leaves the dedup window");
