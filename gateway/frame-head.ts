/**
 * What the gateway reads of every frame: its kind, and what its sender holds and
 * speaks.
 *
 * Nearly all frames are deltas or pulls whose header is a few small integers
 * in the only order that deterministic CBOR allows (RFC 8949 §4.2.1), so a cursor
 * reads them without a map or an error. Whatever looks any different is left to
 * the wire's own reader, which alone decides what is a frame.
 * @module
 */
import { limits } from "../src/core/index.ts";
import { peekFrame, WIRE_VERSION } from "../src/wire/index.ts";
import type { Told } from "./ports.ts";

/** A frame's kind, `unreadable` for none, and what it tells; both numbers are 0 where it says nothing. */
export interface FrameHead extends Told {
  readonly kind: string;
}

const UNREADABLE: FrameHead = { kind: "unreadable", base: 0, minor: 0 };
const MAGIC = 0xce;
const FLAGS_MAX = 1;
const MAP = 0xa0;
/** Header keys and kinds of PROTOCOL.md that a usual header has. */
const KEY = { kind: 0, minor: 1, epoch: 2, seq: 3, base: 4, codec: 6 } as const;
const KIND = { delta: 1, pull: 2 } as const;
const MINOR_MAX = 65_535;
const CODEC_MAX = 255;
const COUNTER_MAX = 2 ** 48 - 1;
const HEADER_AT = 3;
/** No field of a header is negative. */
const NONE = -1;

/** Never throws: what cannot be read is dead-lettered later, with its reason. */
export function headOf(frame: Buffer): FrameHead {
  return usualHead(frame) ?? anyHead(frame);
}

function anyHead(frame: Buffer): FrameHead {
  try {
    const { header } = peekFrame(frame, limits.UP_FRAME_BYTES_MAX);
    const { kind, minor = 0 } = header;
    return { kind, minor, base: "base" in header ? header.base : 0 };
  } catch {
    return UNREADABLE;
  }
}

/** The head of a delta or pull without trace or later keys; null when only the wire's reader can tell. */
export function usualHead(frame: Buffer): FrameHead | null {
  if (frame[0] !== MAGIC || frame[1] !== WIRE_VERSION || (frame[2] ?? NONE) > FLAGS_MAX)
    return null;
  if (frame.length > limits.UP_FRAME_BYTES_MAX) return null;
  const cursor = new Cursor(frame, HEADER_AT);
  let keys = cursor.byte() - MAP;
  const kind = cursor.field(KEY.kind, 1, KIND.pull);
  keys -= 1;
  const spoken = cursor.next() === KEY.minor;
  const minor = spoken ? cursor.field(KEY.minor, 1, MINOR_MAX) : 0;
  if (spoken) keys -= 1;
  if (kind === KIND.pull) {
    const base = cursor.field(KEY.base, 0, COUNTER_MAX);
    return cursor.failed || keys !== 1 ? null : { kind: "pull", base, minor };
  }
  cursor.field(KEY.epoch, 1, COUNTER_MAX);
  cursor.field(KEY.seq, 1, COUNTER_MAX);
  const base = cursor.field(KEY.base, 0, COUNTER_MAX);
  cursor.field(KEY.codec, 0, CODEC_MAX);
  return cursor.failed || keys !== 4 ? null : { kind: "delta", base, minor };
}

/** Reads unsigned integers in their shortest form; once something else stood there, it has failed. */
class Cursor {
  readonly #bytes: Buffer;
  #at: number;
  failed = false;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** The next byte, which stays; −1 at the end. */
  next(): number {
    return this.#bytes[this.#at] ?? NONE;
  }

  byte(): number {
    const byte = this.next();
    this.#at += 1;
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
    if (size === 0 || this.#at + size > this.#bytes.length) return NONE;
    const at = this.#at;
    this.#at += size;
    const value =
      size === 8
        ? this.#bytes.readUInt32BE(at) * 2 ** 32 + this.#bytes.readUInt32BE(at + 4)
        : this.#bytes.readUIntBE(at, size);
    return value >= (SHORTEST_MIN[size] ?? 0) ? value : NONE;
  }
}

/** The smallest value that needs so many bytes. */
const SHORTEST_MIN: Readonly<Record<number, number>> = { 1: 24, 2: 2 ** 8, 4: 2 ** 16, 8: 2 ** 32 };
