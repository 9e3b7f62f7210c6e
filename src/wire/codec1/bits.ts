/**
 * Bits: the writer and the strict reader beneath the compact columns.
 *
 * Bits fill each byte from its highest down, numbers from their highest bit
 * down; the last byte is padded with zeros. Besides raw bits there are three
 * codes of the integers from 0, each for another kind of number:
 *
 *   uniform     any of 0…max equally likely: truncated binary, less than a
 *               tenth of a bit above log2(max + 1)
 *   Rice k      differences of sorted numbers, which fall off exponentially:
 *               ⌊v / 2^k⌋ zeros, a one, the k low bits (Golomb 1966, Rice 1979)
 *   exp-Golomb  sizes of any magnitude, at 2 bits per doubling: Elias gamma
 *               (1975) of ⌊v / 2^k⌋ + 1, the k low bits (ITU-T H.264, 9.1)
 *
 * A run of zeros consumes the bits it reads and is bounded besides, so that
 * reading costs no more than the input is long (P8).
 * @module
 */
import { assert, ProtocolError } from "../../core/index.ts";

const BYTES_AT_FIRST = 256;
/** Bits of the largest safe integer, 2^53 − 1. */
const SAFE_BITS = 53;
const WORD = 2 ** 32;
/** A window of 32 bits from a byte on holds 25 whatever bit of the byte they begin at. */
const WINDOW_BITS = 25;
/** 2^k, cheaper than the operator. */
export const POWERS: readonly number[] = Array.from({ length: 65 }, (_, k) => 2 ** k);

/** How many bits `value` has, 0 for 0; for integers up to 2^53 − 1. */
export function bitLength(value: number): number {
  if (value < WORD) return 32 - Math.clz32(value);
  return 64 - Math.clz32(Math.floor(value / WORD));
}

/** How many bits the uniform code spends on `value` of 0…`max`. */
export function uniformBits(value: number, max: number): number {
  const short = bitLength(max + 1) - 1;
  return value < unusedOf(max, short) ? short : short + 1;
}

export class BitWriter {
  #bytes = new Uint8Array(BYTES_AT_FIRST);
  #at = 0;

  /** Bits written so far. */
  get length(): number {
    return this.#at;
  }

  /** The `count` (0–53) low bits of `value`, which must have no others. */
  bits(value: number, count: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "only integers from 0 have bits");
    assert(bitLength(value) <= count, "the value fits its bits");
    if (count > 32) {
      this.#word(Math.floor(value / WORD), count - 32);
      this.#word(value >>> 0, 32);
    } else {
      this.#word(value, count);
    }
  }

  /** `zeros` zeros and a one. */
  run(zeros: number): void {
    for (let left = zeros; left > 0; left -= 32) this.#word(0, Math.min(32, left));
    this.#word(1, 1);
  }

  /** One of 0…`max`; nothing at all when `max` is 0. */
  uniform(value: number, max: number): void {
    assert(value <= max, "the value is one of the choices");
    const short = bitLength(max + 1) - 1;
    const unused = unusedOf(max, short);
    if (value < unused) this.bits(value, short);
    else this.bits(value + unused, short + 1);
  }

  rice(value: number, k: number): void {
    const power = POWERS[k] as number;
    this.run(Math.floor(value / power));
    this.bits(value % power, k);
  }

  expGolomb(value: number, k: number): void {
    const power = POWERS[k] as number;
    const head = Math.floor(value / power) + 1;
    const low = bitLength(head) - 1;
    this.run(low);
    this.bits(head - (POWERS[low] as number), low);
    this.bits(value % power, k);
  }

  /** The bytes written so far, padded. */
  done(): Uint8Array {
    return this.#bytes.slice(0, (this.#at + 7) >> 3);
  }

  #word(value: number, count: number): void {
    if ((this.#at + count) >> 3 >= this.#bytes.length) this.#grow();
    let left = count;
    while (left > 0) {
      const free = 8 - (this.#at & 7);
      const take = Math.min(free, left);
      left -= take;
      const piece = (value >>> left) & ((1 << take) - 1);
      const byte = this.#at >> 3;
      this.#bytes[byte] = (this.#bytes[byte] as number) | (piece << (free - take));
      this.#at += take;
    }
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/**
 * Reads what a {@link BitWriter} wrote.
 *
 * Throws `ProtocolError`: `columns.truncated` past the end, `columns.run` for more zeros than any
 * value has, `columns.trailing` and `columns.padding` from {@link BitReader.end}.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length * 8;
  }

  /** `count` bits, 0–53. */
  bits(count: number): number {
    return count > 32 ? this.#word(count - 32) * WORD + this.#word(32) : this.#word(count);
  }

  /** How many zeros stand before the next one; consumes that as well. */
  run(zerosMax: number): number {
    let zeros = 0;
    for (;;) {
      const left = this.#end - this.#at;
      const here = Math.min(Math.clz32(this.#window()), WINDOW_BITS, left);
      zeros += here;
      if (zeros > zerosMax) refuse("run", `a run of more than ${zerosMax} zeros`);
      if (here === left) refuse("truncated", "the columns are cut off");
      this.#at += here;
      if (here < WINDOW_BITS) break;
    }
    this.#at += 1;
    return zeros;
  }

  uniform(max: number): number {
    const short = bitLength(max + 1) - 1;
    const unused = unusedOf(max, short);
    const value = this.bits(short);
    return value < unused ? value : value * 2 + this.bits(1) - unused;
  }

  /** At most `max` rounded up to a multiple of 2^k, less one: the caller checks the rest. */
  rice(k: number, max: number): number {
    const power = POWERS[k] as number;
    return this.run(Math.floor(max / power)) * power + this.bits(k);
  }

  /** At most 2^53 − 1 − 2^k. */
  expGolomb(k: number): number {
    const zeros = this.run(SAFE_BITS - 1 - k);
    const head = (POWERS[zeros] as number) + this.bits(zeros);
    return (head - 1) * (POWERS[k] as number) + this.bits(k);
  }

  /** What was read must be all there is. */
  end(): void {
    const left = this.#end - this.#at;
    if (left >= 8) refuse("trailing", `${left >> 3} bytes follow the last column`);
    if (this.#word(left) !== 0) refuse("padding", "the last byte is not padded with zeros");
  }

  #word(count: number): number {
    if (count > WINDOW_BITS) {
      return this.#word(count - 16) * 65_536 + this.#word(16);
    }
    if (this.#at + count > this.#end) refuse("truncated", "the columns are cut off");
    const value = count === 0 ? 0 : this.#window() >>> (32 - count);
    this.#at += count;
    return value;
  }

  /** The next 25 bits and some more, from the highest bit down; zeros beyond the end. */
  #window(): number {
    const bytes = this.#bytes;
    const at = this.#at >> 3;
    const high = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16);
    const low = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    return (high | low) << (this.#at & 7);
  }
}

/** Of `max` + 1 choices, how many take `short` bits; the others take one more. */
function unusedOf(max: number, short: number): number {
  return (POWERS[short + 1] as number) - (max + 1);
}

function refuse(reason: string, message: string): never {
  throw new ProtocolError(`columns.${reason}`, message);
}
