/**
 * HSET as Redis reads it: an array of bulk strings (RESP 2,
 * https://redis.io/docs/latest/develop/reference/protocol-spec/).
 *
 * A commit writes a hash for every device, thousands of registers in one go. Written here in one
 * pass, a register costs one copy; as arguments of a command it would be several objects and copies
 * on its way through the client. Commands lie one behind the other in chunks, because so many
 * buffers of their own would cost more than what is copied into them; and a chunk that Redis has
 * read is written again, because the engine collects garbage by the bytes that are allocated.
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

/** As much as two full commits take. */
const SPARE_MAX = 8;
/** Chunks that nobody reads any more. */
const spare: Buffer[] = [];

/** Writes the hashes of one commit. */
export class HashWriter {
  readonly #chunks: Buffer[] = [];
  /** Of the last chunk. */
  #used = 0;

  /** `HSET key field value …`; null when there are no fields. `values` has one for each of `fields`. */
  write(key: string, fields: readonly string[], values: readonly Uint8Array[]): HashWrite | null {
    if (fields.length === 0) return null;
    const bytesMax = bytesMaxOf(key, fields, values);
    if (bytesMax > CHUNK_BYTES) {
      const bytes = Buffer.allocUnsafe(bytesMax);
      return { key, bytes: bytes.subarray(0, writeHash(bytes, 0, key, fields, values)) };
    }
    const chunk = this.#chunkFor(bytesMax);
    const from = this.#used;
    this.#used = writeHash(chunk, from, key, fields, values);
    return { key, bytes: chunk.subarray(from, this.#used) };
  }

  /**
   * Lets others write over what was written here: for when Redis has answered all of it. Without
   * such an answer a socket may still have to read it; then this is not to be called.
   */
  release(): void {
    for (const chunk of this.#chunks.splice(0)) if (spare.length < SPARE_MAX) spare.push(chunk);
  }

  #chunkFor(bytes: number): Buffer {
    const last = this.#chunks.at(-1);
    if (last !== undefined && this.#used + bytes <= CHUNK_BYTES) return last;
    const chunk = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#chunks.push(chunk);
    this.#used = 0;
    return chunk;
  }
}

function bytesMaxOf(key: string, fields: readonly string[], values: readonly Uint8Array[]): number {
  let characters = "HSET".length + key.length;
  for (const field of fields) characters += field.length;
  let bytes = (3 + 2 * fields.length) * MARK_BYTES_MAX + CHARACTER_BYTES_MAX * characters;
  for (const value of values) bytes += value.length;
  return bytes;
}

/** Answers where it ends. */
function writeHash(
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
