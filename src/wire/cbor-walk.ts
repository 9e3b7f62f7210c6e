/**
 * The bounded walker: decides whether bytes may be decoded at all.
 *
 * It makes one pass without allocating and accepts only what our own encoder
 * writes: deterministic CBOR (RFC 8949 §4.2.1) of integers, strings, arrays,
 * maps, true, false and null. A general decoder behind it would otherwise
 * spend 3.8 s on one bignum tag, call functions for tag 27, keep the last of
 * two equal keys and round integers past 2^53 (P8, THREATS 19).
 * @module
 */
import { SerializationError } from "../core/index.ts";
import { firstBadUtf8 } from "./utf8.ts";

/** Nesting: the outermost item has depth 1. */
export const CBOR_DEPTH_MAX = 6;
/** Data items in one encoding, keys included. */
export const CBOR_ITEMS_MAX = 16_384;

const SAFE_HIGH_MAX = 0x1fffff; // 2^53 − 1 = 0x1fffff_ffffffff
const PROTO_KEY = "__proto__";
/** The least argument of a head that needs so many bytes behind it: 1, 2, 4 or 8. */
export const SHORTEST_MIN: Readonly<Record<number, number>> = {
  1: 24,
  2: 2 ** 8,
  4: 2 ** 16,
  8: 2 ** 32,
};

/** Where the walk stands; one object per walk, so that a walk is re-entrant. */
interface Walk {
  readonly bytes: Uint8Array;
  at: number;
  items: number;
  /** The argument of the head just read (RFC 8949 §3). */
  argument: number;
}

/**
 * Walks one item that must fill `bytes` exactly.
 *
 * Throws `SerializationError` with a `cbor.…` reason; see PROTOCOL.md for the list.
 */
export function walkCbor(bytes: Uint8Array): void {
  const end = walkCborPrefix(bytes);
  if (end !== bytes.length) refuse("cbor.trailing", "bytes follow the item", end);
}

/** Walks the one item `bytes` begin with and returns where it ends. Throws like {@link walkCbor}. */
export function walkCborPrefix(bytes: Uint8Array): number {
  const walk: Walk = { bytes, at: 0, items: 0, argument: 0 };
  walkItem(walk, 1);
  return walk.at;
}

function refuse(reason: string, message: string, at: number): never {
  throw new SerializationError(reason, `${message} (byte ${at})`, { detail: { at } });
}

function walkItem(walk: Walk, depth: number): void {
  const start = walk.at;
  if (depth > CBOR_DEPTH_MAX) {
    refuse("cbor.depth", `nesting is deeper than ${CBOR_DEPTH_MAX}`, start);
  }
  walk.items += 1;
  if (walk.items > CBOR_ITEMS_MAX) refuse("cbor.items", `more than ${CBOR_ITEMS_MAX} items`, start);
  const major = readHead(walk);
  const argument = walk.argument;
  switch (major) {
    case 0:
    case 1:
      return;
    case 2:
      skipString(walk, start);
      return;
    case 3: {
      const from = walk.at;
      skipString(walk, start);
      const bad = firstBadUtf8(walk.bytes, from, walk.at);
      if (bad >= 0) refuse("cbor.utf8", "text is not UTF-8", bad);
      return;
    }
    case 4:
      requireRoom(walk, argument, start);
      for (let index = 0; index < argument; index += 1) walkItem(walk, depth + 1);
      return;
    case 5:
      requireRoom(walk, argument * 2, start);
      walkMap(walk, argument, depth);
      return;
    default:
      return; // true, false or null: readHead admits nothing else of major type 7, and no tag.
  }
}

/** A container cannot hold more items than bytes are left; a lie is refused before any loop. */
function requireRoom(walk: Walk, count: number, start: number): void {
  if (count > walk.bytes.length - walk.at) {
    refuse("cbor.length", "a length reaches past the end", start);
  }
}

function skipString(walk: Walk, start: number): void {
  requireRoom(walk, walk.argument, start);
  walk.at += walk.argument;
}

/** Keys are integers or text, each bytewise greater than the one before (RFC 8949 §4.2.1). */
function walkMap(walk: Walk, entries: number, depth: number): void {
  let previousFrom = 0;
  let previousTo = 0;
  for (let index = 0; index < entries; index += 1) {
    const from = walk.at;
    const major = (walk.bytes[from] ?? 0) >> 5;
    if (major === 2 || major === 4 || major === 5) {
      refuse("cbor.key-type", "a map key is an integer or text", from);
    }
    walkItem(walk, depth + 1);
    if (major === 7) refuse("cbor.key-type", "a map key is an integer or text", from);
    if (major === 3 && isProtoKey(walk.bytes, walk.at)) {
      refuse("cbor.proto-key", "the key __proto__ is not allowed", from);
    }
    if (index > 0) requireAscending(walk.bytes, previousFrom, previousTo, from, walk.at);
    previousFrom = from;
    previousTo = walk.at;
    walkItem(walk, depth + 1);
  }
}

function requireAscending(
  bytes: Uint8Array,
  previousFrom: number,
  previousTo: number,
  from: number,
  to: number,
): void {
  const length = Math.min(previousTo - previousFrom, to - from);
  for (let index = 0; index < length; index += 1) {
    const difference = (bytes[from + index] as number) - (bytes[previousFrom + index] as number);
    if (difference > 0) return;
    if (difference < 0) refuse("cbor.key-order", "map keys are not in bytewise order", from);
  }
  // Neither encoding is a prefix of the other unless they are equal: a head fixes the length.
  refuse("cbor.duplicate-key", "a map key occurs twice", from);
}

/** Whether the text that ends at `to` is `__proto__`; its head is the one byte 0x69. */
function isProtoKey(bytes: Uint8Array, to: number): boolean {
  const from = to - PROTO_KEY.length;
  if (bytes[from - 1] !== 0x60 + PROTO_KEY.length) return false;
  for (let index = 0; index < PROTO_KEY.length; index += 1) {
    if (bytes[from + index] !== PROTO_KEY.charCodeAt(index)) return false;
  }
  return true;
}

/** Reads one head into `walk.argument` and returns the major type. */
function readHead(walk: Walk): number {
  const { bytes, at } = walk;
  const first = bytes[at];
  if (first === undefined) refuse("cbor.truncated", "an item is missing", at);
  const major = first >> 5;
  const info = first & 0x1f;
  if (info === 31) refuse("cbor.indefinite", "indefinite lengths and breaks are not allowed", at);
  if (info > 27) refuse("cbor.reserved", "reserved additional information", at);
  if (major === 6) refuse("cbor.tag", "tags are not allowed", at);
  if (major === 7) {
    refuseUnlessSimple(bytes, at, info);
    walk.at = at + 1;
    return major;
  }
  if (info < 24) {
    walk.argument = info;
    walk.at = at + 1;
    return major;
  }
  const width = 1 << (info - 24);
  if (at + 1 + width > bytes.length) refuse("cbor.truncated", "a head is cut off", at);
  walk.argument = readArgument(bytes, at + 1, width);
  walk.at = at + 1 + width;
  return major;
}

/** A big-endian argument of 1, 2, 4 or 8 bytes, refused when fewer would do or it passes 2^53 − 1. */
function readArgument(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  let high = 0;
  for (let index = 0; index < width; index += 1) {
    if (index === 4) {
      high = value;
      value = 0;
    }
    value = value * 256 + (bytes[at + index] as number);
  }
  if (high > SAFE_HIGH_MAX) refuse("cbor.integer-range", "an integer passes 2^53 − 1", at - 1);
  const full = high * 2 ** 32 + value;
  if (full < (SHORTEST_MIN[width] as number))
    refuse("cbor.not-shortest", "an argument is longer than it needs", at - 1);
  return full;
}

function refuseUnlessSimple(bytes: Uint8Array, at: number, info: number): void {
  if (info >= 20 && info <= 22) return;
  if (info < 25) refuse("cbor.simple", "only true, false and null are allowed", at);
  const width = 1 << (info - 24);
  if (at + 1 + width > bytes.length) refuse("cbor.truncated", "a float is cut off", at);
  const top = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
  // The exponent is all ones in NaN and the infinities, at every width.
  const exponent = info === 25 ? 0x7c00 : info === 26 ? 0x7f80 : 0x7ff0;
  if ((top & exponent) === exponent) refuse("cbor.not-finite", "a number is not finite", at);
  refuse("cbor.float", "the protocol uses integers only", at);
}
