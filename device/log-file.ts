/**
 * The bytes of the outbox file: records that prove themselves.
 *
 *   file    "OMGLOG1\n", record*
 *   record  magic u32 | length u32 | CRC-32 of the payload u32 | payload     (little endian)
 *
 * A crash in the middle of a write leaves a torn tail: it is cut off, nothing
 * in it was ever promised. A broken record with intact ones behind it is a
 * media fault: it is skipped and reported, because then promised data is gone.
 * CRC-32 as in zlib (`node:zlib` has it since 20.15).
 * @module
 */
import { crc32 } from "node:zlib";

export const FILE_HEADER: Uint8Array = new TextEncoder().encode("OMGLOG1\n");
export const RECORD_HEADER_BYTES = 12;
const RECORD_MAGIC = 0x5243_4552;
/** No record is larger; a length beyond it is garbage, not a record to wait for. */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** The file bytes of `records`, back to back. */
export function frameRecords(records: readonly Uint8Array[]): Uint8Array {
  const total = records.reduce((sum, record) => sum + RECORD_HEADER_BYTES + record.byteLength, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const record of records) {
    view.setUint32(at, RECORD_MAGIC, true);
    view.setUint32(at + 4, record.byteLength, true);
    view.setUint32(at + 8, crc32(record), true);
    bytes.set(record, at + RECORD_HEADER_BYTES);
    at += RECORD_HEADER_BYTES + record.byteLength;
  }
  return bytes;
}

export interface Scan {
  readonly records: readonly Uint8Array[];
  /** Intact bytes up to the torn tail: where the next record goes. */
  readonly end: number;
  readonly damaged: boolean;
}

/** Reads a whole file. A file that does not begin as one of ours is damaged from the first byte. */
export function scanLog(bytes: Uint8Array): Scan {
  const records: Uint8Array[] = [];
  const headed = FILE_HEADER.every((byte, index) => bytes[index] === byte);
  let damaged = false;
  let at = headed ? FILE_HEADER.byteLength : 0;
  let end = at;
  while (at < bytes.byteLength) {
    const payload = recordAt(bytes, at);
    if (payload === null) {
      at += 1; // Resynchronise: the magic makes false starts rare, the checksum makes them harmless.
      continue;
    }
    if (at !== end) damaged = true;
    records.push(payload.slice());
    at += RECORD_HEADER_BYTES + payload.byteLength;
    end = at;
  }
  return { records, end, damaged: damaged || (!headed && end > 0) };
}

function recordAt(bytes: Uint8Array, at: number): Uint8Array | null {
  const start = at + RECORD_HEADER_BYTES;
  if (start > bytes.byteLength || bytes[at] !== (RECORD_MAGIC & 0xff)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_HEADER_BYTES);
  if (view.getUint32(0, true) !== RECORD_MAGIC) return null;
  const length = view.getUint32(4, true);
  if (length > RECORD_BYTES_MAX || start + length > bytes.byteLength) return null;
  const payload = bytes.subarray(start, start + length);
  return crc32(payload) === view.getUint32(8, true) ? payload : null;
}
