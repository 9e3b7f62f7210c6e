/**
 * Little-endian bytes for the outbox log: a growing writer and a checking reader.
 *
 * The log is private to one device, so it needs no self-description, only to
 * be quick, exact, and to refuse what was not written by it.
 * @module
 */
import { assert, ProtocolError } from "../src/core/index.ts";
import type { GridVector } from "../src/wire/index.ts";

export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  #grow(more: number): number {
    const at = this.#length;
    const needed = at + more;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  /** A safe integer ≥ 0, as a float64, which holds it exactly. */
  u53(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `the log holds safe integers, not ${value}`);
    this.f64(value);
  }

  f64(value: number): void {
    const at = this.#grow(8);
    this.#view.setFloat64(at, value, true);
  }

  /** ASCII of at most 255 characters. */
  text(value: string): void {
    assert(value.length <= 255, "texts of the log are short");
    this.u8(value.length);
    const at = this.#grow(value.length);
    for (let index = 0; index < value.length; index += 1) {
      this.#bytes[at + index] = value.charCodeAt(index);
    }
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length);
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  vector(value: GridVector | null): void {
    this.u16(value?.length ?? 0);
    if (value === null) return;
    const at = this.#grow(value.length * 2);
    for (let index = 0; index < value.length; index += 1) {
      this.#view.setInt16(at + index * 2, value[index] ?? 0, true);
    }
  }

  list<Item>(items: readonly Item[], write: (item: Item) => void): void {
    this.u32(items.length);
    for (const item of items) write(item);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Reads what {@link ByteWriter} wrote; throws `ProtocolError("log.record")` past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) {
      throw new ProtocolError("log.record", `outbox record ends ${length} bytes too early`);
    }
    this.#at = at + length;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u53(): number {
    const value = this.f64();
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new ProtocolError("log.record", `outbox record holds ${value} for an integer`);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  text(): string {
    const length = this.u8();
    const at = this.#take(length);
    return String.fromCharCode(...this.#bytes.subarray(at, at + length));
  }

  bytes(): Uint8Array {
    const length = this.u32();
    const at = this.#take(length);
    return this.#bytes.slice(at, at + length);
  }

  vector(): GridVector | null {
    const length = this.u16();
    if (length === 0) return null;
    const at = this.#take(length * 2);
    const vector = new Int16Array(length);
    for (let index = 0; index < length; index += 1) {
      vector[index] = this.#view.getInt16(at + index * 2, true);
    }
    return vector;
  }

  list<Item>(read: () => Item): Item[] {
    const count = this.u32();
    const items: Item[] = [];
    // Bounded by the bytes: each item takes at least one, or #take throws.
    for (let index = 0; index < count; index += 1) items.push(read());
    return items;
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.ended) return;
    throw new ProtocolError(
      "log.record",
      `${this.#bytes.length - this.#at} bytes follow an outbox record`,
    );
  }
}
