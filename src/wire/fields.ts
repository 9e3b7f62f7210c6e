/**
 * Reading typed fields out of a decoded CBOR map: the schema of `omega.cddl`,
 * one question at a time. Every wrong answer is a `ProtocolError` whose reason
 * is `{room}.{field}`, so that a device's author sees which field to fix.
 * @module
 */
import { isId, ProtocolError } from "../core/index.ts";
import type { CborMap, CborValue } from "./cbor.ts";

const ID_BYTES = 8;
const HEX_ID = /^[0-9a-f]{16}$/;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The names of the fields of one map, by key; any other key is refused. */
export type FieldNames = Readonly<Record<number, string>>;

export class Fields {
  readonly #map: CborMap;
  readonly #room: string;
  readonly #names: FieldNames;

  /** Throws `{room}.shape` unless `value` is a map, `{room}.unknown-key` for a key without a name. */
  constructor(value: CborValue, room: string, names: FieldNames) {
    if (!(value instanceof Map)) throw new ProtocolError(`${room}.shape`, "expected a map");
    for (const key of value.keys()) {
      if (typeof key !== "number" || names[key] === undefined) {
        throw new ProtocolError(`${room}.unknown-key`, `key ${key} has no meaning here`);
      }
    }
    this.#map = value;
    this.#room = room;
    this.#names = names;
  }

  has(key: number): boolean {
    return this.#map.has(key);
  }

  /** Throws `{room}.{field}`. */
  refuse(key: number, message: string): never {
    const name = this.#names[key];
    throw new ProtocolError(`${this.#room}.${name}`, `${this.#room} field ${name} ${message}`);
  }

  integer(key: number, range: Range): number {
    return this.#requireInteger(key, this.#map.get(key), range);
  }

  bytes(key: number, range: Range): Uint8Array {
    const value = this.#map.get(key);
    if (!(value instanceof Uint8Array)) this.refuse(key, "must be a byte string");
    if (value.length < range.min || value.length > range.max) {
      this.refuse(key, `must be ${range.min} to ${range.max} bytes: got ${value.length}`);
    }
    return value;
  }

  /** A column: absent means empty, and an empty one must be absent (one value, one encoding). */
  column(key: number, lengthMax: number): readonly CborValue[] {
    const value = this.#map.get(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) this.refuse(key, "must be an array");
    if (value.length === 0) this.refuse(key, "must be left out when empty");
    if (value.length > lengthMax) this.refuse(key, `holds more than ${lengthMax} items`);
    return value;
  }

  /** A column of exactly `length` integers. */
  integers(key: number, length: number, range: Range): number[] {
    const column = this.column(key, length);
    if (column.length !== length) this.refuse(key, `must hold ${length} items`);
    return column.map((value) => this.#requireInteger(key, value, range));
  }

  /** A column of pattern ids (see {@link idToCbor}). */
  ids(key: number, lengthMax: number): string[] {
    return this.column(key, lengthMax).map((value) => {
      const id = idFromCbor(value);
      if (id === null) this.refuse(key, "holds something that is not an id");
      return id;
    });
  }

  #requireInteger(key: number, value: CborValue | undefined, range: Range): number {
    if (typeof value !== "number") this.refuse(key, "must be an integer");
    if (value < range.min || value > range.max) {
      this.refuse(key, `must be ${range.min} to ${range.max}: got ${value}`);
    }
    return value;
  }
}

/** Whether `id` is exactly 16 lower-case hex digits, which travel as 8 bytes. */
export function isHexId(id: string): boolean {
  return HEX_ID.test(id);
}

/** Ids of exactly 16 lower-case hex digits travel as 8 bytes: half the size, and still one encoding. */
export function idToCbor(id: string): CborValue {
  if (!isHexId(id)) return id;
  const bytes = new Uint8Array(ID_BYTES);
  for (let index = 0; index < ID_BYTES; index += 1) {
    bytes[index] = Number.parseInt(id.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}

/** Inverse of {@link idToCbor}; null for anything that it would not have written. */
function idFromCbor(value: CborValue): string | null {
  if (typeof value === "string") return isId(value) && !isHexId(value) ? value : null;
  if (!(value instanceof Uint8Array) || value.length !== ID_BYTES) return null;
  let id = "";
  for (const byte of value) id += HEX[byte];
  return id;
}
