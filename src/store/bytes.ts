/**
 * Writing and strictly reading the few shapes that records are made of.
 *
 * Integers are LEB128 varints (0 … 2^53 − 1, shortest form only), byte strings
 * and UTF-8 texts carry their length in front. The reader never trusts a length:
 * what does not fit, does not end where it should or has a second spelling is a
 * `SerializationError("record.*")`, so that a damaged store is noticed instead of
 * folded into the sums.
 * @module
 */
import { assert, SerializationError } from "../core/index.ts";

const VARINT_BYTES_MAX = 8; // ⌈53 / 7⌉

export class ByteWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  /** An integer in 0 … 2^53 − 1; anything else is `SerializationError("record.integer")`. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new SerializationError(
        "record.integer",
        `must be an integer in 0 … 2^53 − 1: got ${value}`,
      );
    }
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  /** Bytes whose count the reader knows. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    this.bytes(Buffer.from(text, "utf8"));
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** `what` names the record in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw this.wrong("record.truncated", "ends too early");
    this.#at += 1;
    return value;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (let index = 0; index < VARINT_BYTES_MAX; index += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      unit *= 128;
      if (byte >= 0x80) continue;
      if (byte === 0 && index > 0) throw this.wrong("record.varint", "has a varint with padding");
      if (value > Number.MAX_SAFE_INTEGER) break;
      return value;
    }
    throw this.wrong("record.varint", "has an integer past 2^53 − 1");
  }

  /** A count of things of at least `bytesEach` (≥ 1) bytes: larger ones cannot be true. */
  count(bytesEach: number): number {
    assert(bytesEach >= 1, "counted things take space");
    const count = this.varint();
    if (count * bytesEach > this.#bytes.length - this.#at) {
      throw this.wrong("record.count", `counts ${count} things that do not fit`);
    }
    return count;
  }

  /** A copy, so that one small field does not keep a large record alive. */
  raw(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw this.wrong("record.truncated", "ends too early");
    const bytes = new Uint8Array(count);
    bytes.set(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return bytes;
  }

  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  text(): string {
    const bytes = this.bytes();
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw this.wrong("record.text", "has a text that is not UTF-8", cause);
    }
  }

  /** Nothing may follow. */
  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw this.wrong("record.trailing", `has ${rest} bytes too many`);
  }

  /** An error that names the record and where the reading stopped. */
  wrong(reason: string, message: string, cause?: unknown): SerializationError {
    return new SerializationError(reason, `the stored ${this.#what} ${message}`, {
      detail: { at: this.#at, bytes: this.#bytes.length },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
