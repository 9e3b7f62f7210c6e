/**
 * Static range asymmetric numeral systems (Duda, arXiv 1311.2540), byte by byte as in Giesen's
 * "Interleaved entropy coders" (arXiv 1402.3392).
 *
 * The whole message is one integer, the state. A symbol that owns `share` of 2^15 slots from `start`
 * on is decoded and removed by
 *
 *   slot  = state mod 2^15                      (start ≤ slot < start + share)
 *   state = share · ⌊state / 2^15⌋ + slot − start
 *   state = state · 2^8 + next byte             while it is below 2^23
 *
 * The stream: the state after encoding (4 bytes, little-endian, 2^23 ≤ state < 2^31), then the bytes
 * in the order in which the decoder needs them. The encoder starts at state 2^23, so a decoder ends
 * there with no byte left; anything else is refused. The state fits an int32: every product here is
 * exact. Shares are at most 2^-8 of a state, so what rounding costs is lost in the noise.
 * @module
 */
import { assert, ProtocolError } from "../../core/index.ts";

export const SHARE_BITS = 15;
/** All shares of one row add up to this. */
export const SHARES = 1 << SHARE_BITS;
const STATE_MIN = 1 << 23;
const STATE_END = 2 ** 31;
/** The stream of no symbols at all; every other one adds its bits, and rounds up. */
export const STATE_BYTES = 4;
/** Whoever reads without asking first whether a byte is needed reads no further behind the end. */
const AFTER_END = 2;

assert(STATE_MIN % SHARES === 0, "decoding undoes encoding");
assert(STATE_MIN * 2 ** 8 === STATE_END, "one byte leads from too small to too large");

/** Collects symbols; rANS is last in, first out, so they are coded when all are known. */
export class RansEncoder {
  #slots: Uint32Array;
  #count = 0;

  /** `expected` symbols cost no growing. */
  constructor(expected = 1024) {
    this.#slots = new Uint32Array(expected);
  }

  /** The symbol that owns `share` slots from `start` on. */
  put(start: number, share: number): void {
    if (this.#count === this.#slots.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#slots);
      this.#slots = larger;
    }
    this.#slots[this.#count] = start + share * SHARES * 2;
    this.#count += 1;
  }

  /** A number of `count` bits (≤ 15), each value as likely as any other. */
  putBits(value: number, count: number): void {
    const share = SHARES >> count;
    this.put(value * share, share);
  }

  /** The bytes of all symbols since the last call. */
  finish(): Uint8Array {
    const reversed = new Uint8Array(2 * this.#count);
    let count = 0;
    let state = STATE_MIN;
    for (let at = this.#count - 1; at >= 0; at -= 1) {
      const slots = this.#slots[at] as number;
      const share = slots >>> (SHARE_BITS + 1);
      while (state >= share * (STATE_END / SHARES)) {
        reversed[count] = state;
        count += 1;
        state >>= 8;
      }
      state += ((state / share) | 0) * (SHARES - share) + (slots & (2 * SHARES - 1));
    }
    this.#count = 0;
    const bytes = new Uint8Array(STATE_BYTES + count);
    new DataView(bytes.buffer).setUint32(0, state, true);
    bytes.set(reversed.subarray(0, count).reverse(), STATE_BYTES);
    return bytes;
  }
}

/**
 * Reads what {@link RansEncoder} wrote; throws `ProtocolError("codec.…")` on anything else. Its state
 * is open to `vector-reader.ts`, which takes thousands of symbols at a time.
 */
export class RansDecoder {
  /** The stream, and {@link AFTER_END} zeros that are no part of it. */
  readonly bytes: Uint8Array;
  readonly end: number;
  /** The byte that is needed next. */
  at = STATE_BYTES;
  state: number;

  constructor(bytes: Uint8Array) {
    if (bytes.length < STATE_BYTES) {
      throw new ProtocolError("codec.truncated", "the entropy-coded stream has no first state");
    }
    this.end = bytes.length;
    this.bytes = new Uint8Array(bytes.length + AFTER_END);
    this.bytes.set(bytes);
    this.state = new DataView(this.bytes.buffer).getUint32(0, true);
    if (this.state < STATE_MIN || this.state >= STATE_END) {
      throw new ProtocolError("codec.state", "the entropy coder's first state is out of range");
    }
  }

  /** A number of `count` bits, 0–15. */
  bits(count: number): number {
    const slot = this.state & (SHARES - 1);
    const shift = SHARE_BITS - count;
    const value = slot >> shift;
    this.#advance(slot - (value << shift), 1 << shift);
    return value;
  }

  #advance(offset: number, share: number): void {
    let state = Math.imul(share, this.state >> SHARE_BITS) + offset;
    while (state < STATE_MIN) {
      if (this.at === this.end) throw endsEarly();
      state = (state << 8) | (this.bytes[this.at] as number);
      this.at += 1;
    }
    this.state = state;
  }

  /** Throws unless every byte was used and the state is the one that every encoder starts from. */
  finish(): void {
    if (this.at === this.end && this.state === STATE_MIN) return;
    throw new ProtocolError(
      "codec.trailing",
      "the entropy-coded stream does not end where it should",
    );
  }
}

/** What is thrown where a byte is missing. */
export function endsEarly(): ProtocolError {
  return new ProtocolError("codec.truncated", "the entropy-coded stream ends too early");
}
