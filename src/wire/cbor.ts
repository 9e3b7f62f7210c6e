/**
 * Deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding.
 *
 * Writing is our own: cbor-x keeps map keys in insertion order and writes
 * three-byte map heads by default, and a content hash needs one encoding in
 * every language. Reading is the bounded
 * walker, then cbor-x on bytes that are known to be harmless.
 * @module
 */
import { Decoder } from "cbor-x";
import { assert, SerializationError } from "../core/index.ts";
import { walkCbor } from "./cbor-walk.ts";

export type CborKey = number | string;
export type CborMap = ReadonlyMap<CborKey, CborValue>;
/** Numbers are safe integers; the protocol has no floats. */
export type CborValue =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | readonly CborValue[]
  | CborMap;

const MAJOR = { uint: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5 } as const;
const BUFFER_BYTES_START = 1024;

const textEncoder = new TextEncoder();
// `int64AsNumber` is missing from cbor-x's types; the walker has bounded such integers to 2^53 − 1.
const decoderOptions = { useRecords: false, mapsAsObjects: false, int64AsNumber: true };
const decoder = new Decoder(decoderOptions);

/** The one encoding of `value`. A number that is no safe integer is a bug of the caller. */
export function encodeCbor(value: CborValue): Uint8Array {
  writer.reset();
  writer.value(value);
  return writer.finish();
}

/**
 * The value of `bytes`, which must be one item in deterministic encoding. Byte strings are views.
 *
 * Throws `SerializationError("cbor.…")` and nothing else.
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  walkCbor(bytes);
  try {
    // A view of our own, because cbor-x leaves a property behind on what it reads.
    return decoder.decode(bytes.subarray()) as CborValue;
  } catch (error) {
    throw new SerializationError("cbor.decode", "walked bytes did not decode", { cause: error });
  }
}

class Writer {
  #bytes = new Uint8Array(BUFFER_BYTES_START);
  #length = 0;

  reset(): void {
    this.#length = 0;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  value(value: CborValue): void {
    if (typeof value === "number") this.#integer(value);
    else if (typeof value === "string") this.#string(MAJOR.text, textEncoder.encode(value));
    else if (value === null) this.#byte(0xf6);
    else if (typeof value === "boolean") this.#byte(value ? 0xf5 : 0xf4);
    else if (value instanceof Uint8Array) this.#string(MAJOR.bytes, value);
    else if (isArray(value)) this.#array(value);
    else this.#map(value);
  }

  #integer(value: number): void {
    assert(Number.isSafeInteger(value), `a number on the wire is a safe integer: ${value}`);
    if (value >= 0) this.#head(MAJOR.uint, value);
    else this.#head(MAJOR.negative, -1 - value);
  }

  #array(values: readonly CborValue[]): void {
    this.#head(MAJOR.array, values.length);
    for (const value of values) this.value(value);
  }

  #map(map: CborMap): void {
    this.#head(MAJOR.map, map.size);
    for (const key of [...map.keys()].sort(compareKeys)) {
      this.value(key);
      this.value(map.get(key) as CborValue);
    }
  }

  #string(major: number, bytes: Uint8Array): void {
    this.#head(major, bytes.length);
    this.#append(bytes);
  }

  /** The shortest head for `argument`. */
  #head(major: number, argument: number): void {
    const prefix = major << 5;
    if (argument < 24) this.#byte(prefix | argument);
    else if (argument < 0x100) this.#wide(prefix | 24, argument, 1);
    else if (argument < 0x10000) this.#wide(prefix | 25, argument, 2);
    else if (argument < 0x100000000) this.#wide(prefix | 26, argument, 4);
    else this.#wide(prefix | 27, argument, 8);
  }

  #wide(first: number, argument: number, width: number): void {
    this.#reserve(1 + width);
    this.#bytes[this.#length] = first;
    let rest = argument;
    for (let at = this.#length + width; at > this.#length; at -= 1) {
      this.#bytes[at] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#length += 1 + width;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function isArray(value: readonly CborValue[] | CborMap): value is readonly CborValue[] {
  return Array.isArray(value);
}

/** One writer for all calls: encoding is synchronous and `finish` copies. */
const writer = new Writer();

/**
 * Bytewise lexicographic order of encoded keys (RFC 8949 §4.2.1), told from the keys themselves:
 * 0, 1, 2…, then −1, −2…, then text, of which the head puts the shorter first.
 */
function compareKeys(a: CborKey, b: CborKey): number {
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  if (typeof a === "string") return 1;
  if (typeof b === "string") return -1;
  if (a < 0 && b < 0) return b - a;
  if (a < 0 || b < 0) return a < 0 ? 1 : -1;
  return a - b;
}

function compareTexts(a: string, b: string): number {
  const left = textEncoder.encode(a);
  const right = textEncoder.encode(b);
  if (left.length !== right.length) return left.length - right.length;
  for (const [index, byte] of left.entries()) {
    const difference = byte - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
