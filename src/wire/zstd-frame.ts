/**
 * The outline of a zstd frame, read before any decompressor sees it (RFC 8878 §3.1.1).
 *
 *   28 b5 2f fd | descriptor | window? | dictionary id? | content size? | blocks… | checksum?
 *
 * We accept exactly one frame that says how much it holds, and we follow its
 * block heads to the last byte. So a bomb is refused for the price of reading
 * its header, and a cut or a second frame is noticed even where libraries
 * stay silent (P8, THREATS 18).
 * @module
 */
import { assert, CompressionError } from "../core/index.ts";

/** The largest window a frame may ask for, as a power of two: 128 KiB. */
export const ZSTD_WINDOW_LOG_MAX = 17;

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_MASK = 0xfffffff0;
const BLOCK_BYTES_MAX = 128 * 1024;
const BLOCK_HEAD_BYTES = 3;
const CHECKSUM_BYTES = 4;
const CONTENT_SIZE_BASE_TWO_BYTES = 256;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const BLOCK = { raw: 0, rle: 1, compressed: 2 } as const;

assert(BLOCK_BYTES_MAX === 2 ** ZSTD_WINDOW_LOG_MAX, "a full block fits the window");

interface Outline {
  /** Bytes the frame says it holds. */
  readonly contentBytes: number;
  /** Where its blocks begin. */
  readonly blocksAt: number;
  readonly checksum: boolean;
}

/**
 * How many bytes `compressed` will become, 0…`bytesMax`.
 *
 * Throws `CompressionError`: `zstd.truncated`, `zstd.magic`, `zstd.skippable`, `zstd.reserved`,
 * `zstd.dictionary`, `zstd.content-size` (unknown), `zstd.too-large`, `zstd.window`, `zstd.block`
 * or `zstd.trailing` (several frames too).
 */
export function zstdContentBytes(compressed: Uint8Array, bytesMax: number): number {
  const outline = readOutline(compressed, bytesMax);
  followBlocks(compressed, outline);
  return outline.contentBytes;
}

function refuse(reason: string, message: string, detail: Record<string, unknown> = {}): never {
  throw new CompressionError(reason, message, { detail });
}

function readOutline(bytes: Uint8Array, bytesMax: number): Outline {
  const magic = littleEndian(bytes, 0, 4);
  if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE_MAGIC) {
    refuse("zstd.skippable", "skippable frames are not allowed");
  }
  if (magic !== MAGIC) refuse("zstd.magic", "not a zstd frame", { magic });
  const descriptor = littleEndian(bytes, 4, 1);
  const sizeFlag = descriptor >> 6;
  const single = (descriptor & 0x20) !== 0;
  const checksum = (descriptor & 0x04) !== 0;
  const dictionaryBytes = DICTIONARY_BYTES[descriptor & 0x03] ?? 0;
  if ((descriptor & 0x18) !== 0) refuse("zstd.reserved", "a reserved descriptor bit is set");
  if (dictionaryBytes !== 0) refuse("zstd.dictionary", "dictionary ids are not allowed");
  let at = 5;
  if (!single) {
    const window = windowBytes(littleEndian(bytes, at, 1));
    at += 1;
    if (window > 2 ** ZSTD_WINDOW_LOG_MAX) {
      refuse("zstd.window", `window above 2^${ZSTD_WINDOW_LOG_MAX}: ${window}`, { window });
    }
  }
  const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 2 ** sizeFlag;
  if (sizeBytes === 0) refuse("zstd.content-size", "the frame does not say how much it holds");
  const base = sizeBytes === 2 ? CONTENT_SIZE_BASE_TWO_BYTES : 0;
  const contentBytes = littleEndian(bytes, at, sizeBytes) + base;
  if (contentBytes > bytesMax) {
    refuse("zstd.too-large", `holds ${contentBytes} bytes, more than ${bytesMax}`, {
      contentBytes,
      bytesMax,
    });
  }
  return { contentBytes, blocksAt: at + sizeBytes, checksum };
}

/** RFC 8878 §3.1.1.1.2. */
function windowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Follows the block heads to the end of the frame, which must be the end of the bytes. */
function followBlocks(bytes: Uint8Array, outline: Outline): void {
  let at = outline.blocksAt;
  let known = 0;
  let last = false;
  while (!last) {
    const head = littleEndian(bytes, at, BLOCK_HEAD_BYTES);
    last = (head & 1) === 1;
    const type = (head >> 1) & 3;
    const size = head >> 3;
    if (type > BLOCK.compressed || size > BLOCK_BYTES_MAX) {
      refuse("zstd.block", "a block type or size that does not exist", { at });
    }
    if (type !== BLOCK.compressed) known += size;
    if (known > outline.contentBytes) refuse("zstd.block", "blocks hold more than stated", { at });
    at += BLOCK_HEAD_BYTES + (type === BLOCK.rle ? 1 : size);
  }
  if (outline.checksum) at += CHECKSUM_BYTES;
  if (at > bytes.length) refuse("zstd.truncated", "the frame is cut off");
  if (at < bytes.length) refuse("zstd.trailing", "bytes follow the frame", { at });
}

/** Up to 8 bytes; above 2^53 it loses low bits, which no limit can notice. */
function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  if (at + width > bytes.length) refuse("zstd.truncated", "the frame is cut off");
  let value = 0;
  for (let index = width - 1; index >= 0; index -= 1) {
    value = value * 256 + (bytes[at + index] as number);
  }
  return value;
}
