/**
 * The usual header, read without a map or an error.
 *
 * Nearly all frames are deltas or pulls whose header is a few small integers in the only order that
 * deterministic CBOR allows (RFC 8949 §4.2.1), and every one of them is read twice on its way: by
 * the gateway and by the aggregator. Whatever looks any different is left to header.ts, which alone
 * decides what is a header.
 * @module
 */
import { SHORTEST_MIN } from "./cbor-walk.ts";
import {
  CODEC_MAX,
  COUNTER_MAX,
  type FrameHeader,
  HEADER_KEY,
  MINOR_MAX,
  type ReadHeader,
} from "./header.ts";

const MAP = 0xa0;
const KIND = { delta: 1, pull: 2 } as const;
/** No field of a header is negative. */
const NONE = -1;

/**
 * The header of a delta or pull, without trace or later keys, that stands in `bytes` from `at` on;
 * null when only `readHeader` can tell. Never throws.
 */
export function usualHeader(bytes: Uint8Array, at: number): ReadHeader | null {
  const cursor = new Cursor(bytes, at);
  let keys = cursor.byte() - MAP;
  const kind = cursor.field(HEADER_KEY.kind, 1, KIND.pull);
  keys -= 1;
  const spoken = cursor.next() === HEADER_KEY.minor;
  const minor = spoken ? cursor.field(HEADER_KEY.minor, 1, MINOR_MAX) : 0;
  if (spoken) keys -= 1;
  if (kind === KIND.pull) {
    const base = cursor.field(HEADER_KEY.base, 0, COUNTER_MAX);
    if (cursor.failed || keys !== 1) return null;
    const header: FrameHeader = spoken ? { kind: "pull", minor, base } : { kind: "pull", base };
    return { header, end: cursor.at };
  }
  const epoch = cursor.field(HEADER_KEY.epoch, 1, COUNTER_MAX);
  const seq = cursor.field(HEADER_KEY.seq, 1, COUNTER_MAX);
  const base = cursor.field(HEADER_KEY.base, 0, COUNTER_MAX);
  const codec = cursor.field(HEADER_KEY.codec, 0, CODEC_MAX);
  if (cursor.failed || keys !== 4) return null;
  const header: FrameHeader = spoken
    ? { kind: "delta", minor, epoch, seq, base, codec }
    : { kind: "delta", epoch, seq, base, codec };
  return { header, end: cursor.at };
}

/** Reads unsigned integers in their shortest form; once something else stood there, it has failed. */
class Cursor {
  readonly #bytes: Uint8Array;
  at: number;
  failed = false;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** The next byte, which stays; −1 at the end. */
  next(): number {
    return this.#bytes[this.at] ?? NONE;
  }

  byte(): number {
    const byte = this.next();
    this.at += 1;
    return byte;
  }

  /** The value of `key`, in [min, max]. */
  field(key: number, min: number, max: number): number {
    if (this.byte() !== key) this.failed = true;
    const value = this.#uint();
    if (value < min || value > max) this.failed = true;
    return value;
  }

  /** RFC 8949 §3: 0 … 23 in the initial byte, larger ones in the 1, 2, 4 or 8 bytes behind it. */
  #uint(): number {
    const initial = this.byte();
    if (initial >= 0 && initial < 24) return initial;
    const size = initial >= 24 && initial <= 27 ? 1 << (initial - 24) : 0;
    const end = this.at + size;
    if (size === 0 || end > this.#bytes.length) return NONE;
    let value = 0;
    for (; this.at < end; this.at += 1) value = value * 256 + (this.#bytes[this.at] as number);
    return value >= (SHORTEST_MIN[size] ?? 0) ? value : NONE;
  }
}
