/**
 * Columns of ids: in the order given, or as a sorted set.
 *
 * An id of exactly 16 hexadecimal digits is 64 bits; any other is six bits per
 * character. The order of n random ids carries log2(n!) bits that nobody
 * needs where ids are sorted anyway: 525 of 6400 for 100. As a set they are
 * the Rice coded differences of sorted 64-bit numbers, and texts tell only
 * what follows the beginning they share with the one before (front coding:
 * Witten, Moffat and Bell, Managing Gigabytes, 4.1).
 *
 * A 64-bit number is two halves of 32 bits: no BigInt.
 * @module
 */
import { ProtocolError } from "../../core/index.ts";
import { isHexId } from "../fields.ts";
import { type BitReader, type BitWriter, POWERS } from "./bits.ts";
import { cheapest, readSizes, writeSizes } from "./number-column.ts";

/** In the order of their ASCII codes. */
const ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const CHARACTER_BITS = 6;
const LENGTH_MAX = 64;
const LENGTH_BITS = 6;
const HALF_BITS = 32;
const HALF = 2 ** HALF_BITS;
const HEX_BITS = 64;
const SET_ORDER_BITS = 6;
const SET_ORDERS = Array.from({ length: 2 ** SET_ORDER_BITS }, (_, k) => k);
/** The order of the exp-Golomb code of a count of ids. */
export const COUNT_ORDER = 3;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** An unsigned 64-bit number. */
interface Wide {
  readonly high: number;
  readonly low: number;
}

/** The ids as they stand; nothing at all when there are none. */
export function writeIds(writer: BitWriter, ids: readonly string[]): void {
  if (ids.length === 0) return;
  const allHex = ids.every(isHexId);
  writer.bits(allHex ? 1 : 0, 1);
  for (const id of ids) {
    const hex = isHexId(id);
    if (!allHex) writer.bits(hex ? 1 : 0, 1);
    if (hex) {
      const { high, low } = wideOf(id);
      writer.bits(high, HALF_BITS);
      writer.bits(low, HALF_BITS);
    } else {
      writer.bits(id.length - 1, LENGTH_BITS);
      writeCharacters(writer, id, 0);
    }
  }
}

/** Throws `ProtocolError("columns.id")` for a text that should have been 64 bits. */
export function readIds(reader: BitReader, count: number): string[] {
  const ids: string[] = [];
  const allHex = count > 0 && reader.bits(1) === 1;
  for (let index = 0; index < count; index += 1) {
    const hex = allHex || reader.bits(1) === 1;
    if (hex) ids.push(hexOf(reader.bits(HALF_BITS), reader.bits(HALF_BITS)));
    else ids.push(requireText(readCharacters(reader, reader.bits(LENGTH_BITS) + 1)));
  }
  return ids;
}

/** Ids that ascend, each once. */
export function writeIdSet(writer: BitWriter, ids: readonly string[]): void {
  const hexes = ids.filter(isHexId);
  const texts = ids.filter((id) => !isHexId(id));
  writer.expGolomb(hexes.length, COUNT_ORDER);
  writer.expGolomb(texts.length, COUNT_ORDER);
  writeHexSet(writer, hexes);
  writeTextSet(writer, texts);
}

/**
 * At most `countMax` ids, ascending, each once.
 *
 * Throws `ProtocolError`: `columns.count` for more, `columns.id` for one that is none, is not in its
 * place or in its form.
 */
export function readIdSet(reader: BitReader, countMax: number): string[] {
  const hexCount = reader.expGolomb(COUNT_ORDER);
  const textCount = reader.expGolomb(COUNT_ORDER);
  if (hexCount + textCount > countMax) {
    throw new ProtocolError("columns.count", `more than ${countMax} ids`);
  }
  const hexes = readHexSet(reader, hexCount);
  const texts = readTextSet(reader, textCount);
  if (texts.length === 0) return hexes;
  return [...hexes, ...texts].sort((a, b) => (a < b ? -1 : 1));
}

/** Differences less one, so that no number can stand twice. */
function writeHexSet(writer: BitWriter, ids: readonly string[]): void {
  if (ids.length === 0) return;
  let previous: Wide = { high: HALF - 1, low: HALF - 1 };
  const gaps = ids.map((id): Wide => {
    const { high, low } = wideOf(id);
    const borrow = low <= previous.low ? 1 : 0;
    const gap = {
      high: (high - previous.high - borrow) >>> 0,
      low: (low - previous.low - 1) >>> 0,
    };
    previous = { high, low };
    return gap;
  });
  const k = cheapest(SET_ORDERS, (order) =>
    gaps.reduce((bits, gap) => bits + shifted(gap, order) + order, 0),
  );
  writer.bits(k, SET_ORDER_BITS);
  for (const gap of gaps) {
    writer.run(shifted(gap, k));
    if (k > HALF_BITS) writer.bits(gap.high % 2 ** (k - HALF_BITS), k - HALF_BITS);
    writer.bits(k < HALF_BITS ? gap.low % 2 ** k : gap.low, Math.min(k, HALF_BITS));
  }
}

function readHexSet(reader: BitReader, count: number): string[] {
  const ids: string[] = [];
  const k = count > 0 ? reader.bits(SET_ORDER_BITS) : 0;
  const zerosMax = Math.min(2 ** (HEX_BITS - k) - 1, Number.MAX_SAFE_INTEGER);
  let high = -1;
  let low = HALF - 1;
  for (let index = 0; index < count; index += 1) {
    const zeros = reader.run(zerosMax);
    const lowBits = Math.min(k, HALF_BITS);
    const highPart = zeros * 2 ** (k - HALF_BITS);
    const gapHigh = Math.floor(highPart) + reader.bits(k - lowBits);
    const gapLow = (highPart % 1) * HALF + reader.bits(lowBits);
    low += gapLow + 1;
    const carry = low >= HALF ? 1 : 0;
    low -= carry * HALF;
    high += gapHigh + carry;
    if (high >= HALF) throw new ProtocolError("columns.id", "an id beyond the last");
    ids.push(hexOf(high, low));
  }
  return ids;
}

/** ⌊gap / 2^k⌋; only an approximation above 2^53, where no order is the cheapest. */
function shifted({ high, low }: Wide, k: number): number {
  if (k >= HALF_BITS) return high >>> (k - HALF_BITS);
  return high * (POWERS[HALF_BITS - k] as number) + (low >>> k);
}

function writeTextSet(writer: BitWriter, ids: readonly string[]): void {
  const shared = ids.map((id, index) => sharedLength(ids[index - 1] ?? "", id));
  writeSizes(
    writer,
    ids.map((id, index) => id.length - (shared[index] as number) - 1),
  );
  for (const [index, id] of ids.entries()) {
    const from = shared[index] as number;
    writer.uniform(from, Math.min((ids[index - 1] ?? "").length, LENGTH_MAX - 1));
    writeCharacters(writer, id, from);
  }
}

function readTextSet(reader: BitReader, count: number): string[] {
  const ids: string[] = [];
  let previous = "";
  for (const size of readSizes(reader, count)) {
    const from = reader.uniform(Math.min(previous.length, LENGTH_MAX - 1));
    if (from + size >= LENGTH_MAX) throw new ProtocolError("columns.id", "an id is too long");
    const rest = readCharacters(reader, size + 1);
    const next = previous[from];
    if (next !== undefined && (rest[0] as string) <= next) {
      throw new ProtocolError("columns.id", "ids ascend and share all they can");
    }
    previous = requireText(previous.slice(0, from) + rest);
    ids.push(previous);
  }
  return ids;
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

function writeCharacters(writer: BitWriter, id: string, from: number): void {
  for (let at = from; at < id.length; at += 1) {
    writer.bits(ALPHABET.indexOf(id[at] as string), CHARACTER_BITS);
  }
}

function readCharacters(reader: BitReader, count: number): string {
  let text = "";
  for (let at = 0; at < count; at += 1) text += ALPHABET[reader.bits(CHARACTER_BITS)];
  return text;
}

function requireText(id: string): string {
  if (!isHexId(id)) return id;
  throw new ProtocolError("columns.id", "an id of 16 hexadecimal digits travels as 64 bits");
}

function wideOf(id: string): Wide {
  return { high: Number.parseInt(id.slice(0, 8), 16), low: Number.parseInt(id.slice(8), 16) };
}

function hexOf(high: number, low: number): string {
  return hexHalf(high) + hexHalf(low);
}

function hexHalf(half: number): string {
  const byte = (shift: number) => HEX[(half >>> shift) & 0xff] as string;
  return byte(24) + byte(16) + byte(8) + byte(0);
}
