/**
 * HSET as Redis reads it: an array of bulk strings (RESP 2,
 * https://redis.io/docs/latest/develop/reference/protocol-spec/).
 *
 * A commit writes a hash for every device, thousands of registers in one go. Written here in one
 * pass, a register costs one copy; as arguments of a command it would be several objects and copies
 * on its way through the client. Commands lie one behind the other in chunks, because so many
 * buffers of their own would cost more than what is copied into them.
 * @module
 */

export interface HashWrite {
  readonly key: string;
  /** The whole command. */
  readonly bytes: Buffer;
}

const CHUNK_BYTES = 1024 * 1024;
/** Of the marks around a bulk string: `$`, a length and two line ends. */
const MARK_BYTES_MAX = 1 + 10 + 4;
/** Of a character, as a string counts them, in UTF-8. */
const CHARACTER_BYTES_MAX = 3;
const [ARRAY, BULK, ZERO, CARRIAGE_RETURN, LINE_FEED] = [0x2a, 0x24, 0x30, 0x0d, 0x0a];

/** Where the next command is written, and from where on; its bytes are written once. */
let chunk = Buffer.alloc(0);
let used = 0;

/** `HSET key field value …`; null when there are no fields. `values` has one for each of `fields`. */
export function hashWrite(
  key: string,
  fields: readonly string[],
  values: readonly Uint8Array[],
): HashWrite | null {
  if (fields.length === 0) return null;
  const bytesMax = bytesMaxOf(key, fields, values);
  if (bytesMax > CHUNK_BYTES) {
    const bytes = Buffer.allocUnsafe(bytesMax);
    return { key, bytes: bytes.subarray(0, write(bytes, 0, key, fields, values)) };
  }
  if (used + bytesMax > chunk.length) {
    chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    used = 0;
  }
  const from = used;
  used = write(chunk, from, key, fields, values);
  return { key, bytes: chunk.subarray(from, used) };
}

function bytesMaxOf(key: string, fields: readonly string[], values: readonly Uint8Array[]): number {
  let characters = "HSET".length + key.length;
  for (const field of fields) characters += field.length;
  let bytes = (3 + 2 * fields.length) * MARK_BYTES_MAX + CHARACTER_BYTES_MAX * characters;
  for (const value of values) bytes += value.length;
  return bytes;
}

/** Answers where it ends. */
function write(
  into: Buffer,
  from: number,
  key: string,
  fields: readonly string[],
  values: readonly Uint8Array[],
): number {
  let at = putCount(into, from, ARRAY, 2 + 2 * fields.length);
  at = putText(into, at, "HSET");
  at = putText(into, at, key);
  for (let index = 0; index < fields.length; index += 1) {
    at = putText(into, at, fields[index] as string);
    const value = values[index] as Uint8Array;
    at = putCount(into, at, BULK, value.length);
    into.set(value, at);
    at = putEnd(into, at + value.length);
  }
  return at;
}

function putText(into: Buffer, from: number, text: string): number {
  const length = Buffer.byteLength(text);
  const at = putCount(into, from, BULK, length);
  if (length !== text.length) into.write(text, at);
  // Ids are short: a call into the engine would cost more than this.
  else for (let index = 0; index < length; index += 1) into[at + index] = text.charCodeAt(index);
  return putEnd(into, at + length);
}

function putCount(into: Buffer, from: number, mark: number, count: number): number {
  into[from] = mark;
  let digits = 1;
  for (let rest = count; rest >= 10; rest = (rest / 10) | 0) digits += 1;
  let rest = count;
  for (let at = from + digits; at > from; at -= 1) {
    into[at] = ZERO + (rest % 10);
    rest = (rest / 10) | 0;
  }
  return putEnd(into, from + 1 + digits);
}

function putEnd(into: Buffer, at: number): number {
  into[at] = CARRIAGE_RETURN;
  into[at + 1] = LINE_FEED;
  return at + 2;
}
