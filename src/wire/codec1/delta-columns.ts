/**
 * The metadata of a delta in bits: all columns but the vectors.
 *
 *   upserts    how many, exp-Golomb 3     removals   how many, exp-Golomb 0
 *   ids        64 bits, or text           weights    weight − 1, sizes
 *   success    a ceiling (3 bits), then each 1000 − ‰ uniform under it
 *   samples    sizes
 *   updated    whether in order (1 bit), the first, then the differences, sizes
 *   refs       whether all absolute (1 bit); else the kinds, the distances
 *   removals   ids
 *
 * "Sizes" are exp-Golomb codes of an order told first (number-column.ts). The
 * upserts of a delta have no order of their own: an encoder that sorts them by
 * time saves three bits on each, since no difference is negative then. Ten
 * patterns with random ids take 129 bytes, of which the ids are 80; in CBOR
 * they take 211, which zstd does not shrink (bench/envelopes.md).
 *
 * Where a parameter may be chosen (an order, a ceiling) any choice that codes
 * the values is legal; the one of fewest bits is ours.
 * @module
 */
import { limits, ProtocolError, SerializationError } from "../../core/index.ts";
import { PERMILLE } from "../delta.ts";
import { DELTA_RANGES, type DeltaColumns, refRange, requireItems } from "../delta-rules.ts";
import type { Range } from "../fields.ts";
import { BitReader, BitWriter } from "./bits.ts";
import { COUNT_ORDER, readIds, writeIds } from "./id-column.ts";
import { readSizes, writeSizes } from "./number-column.ts";

/** Devices push what succeeded at least seven times in ten, hence the 300 among the powers of two. */
const SUCCESS_CEILINGS = [0, 15, 31, 63, 127, 300, 511, PERMILLE] as const;
const SUCCESS_BITS = 3;
/** Times are told from here, 2026-01-01 UTC, at 28 bits until August 2027 and 32 until 2034. */
const TIME_ZERO_S = 1_767_225_600;
const TIME_ORDER = 25;
/** What a ref can be, in the order of the mask that tells which occur. */
const REF_KINDS = ["absolute", "difference", "kept"] as const;
type RefKind = (typeof REF_KINDS)[number];

/**
 * The columns of the delta with the position `seq`, to be read by {@link unpackDeltaColumns}.
 *
 * Throws `SerializationError("delta.…")` for what no delta may hold; the ids must be ids.
 */
export function packDeltaColumns(columns: DeltaColumns, seq: number): Uint8Array {
  requireColumns(columns, seq, (field, message) => {
    throw new SerializationError(`delta.${field}`, message);
  });
  const writer = new BitWriter();
  const { ids, removals } = columns;
  writer.expGolomb(ids.length, COUNT_ORDER);
  writer.expGolomb(removals.length, 0);
  writeIds(writer, ids);
  const count = ids.length;
  if (count > 0) {
    writeSizes(
      writer,
      columns.weights.map((weight) => weight - DELTA_RANGES.weights.min),
    );
    writeSuccess(writer, columns.success);
    writeSizes(writer, columns.samples);
    writeTimes(writer, columns.updatedAtS);
    writeRefs(writer, columns.refs, seq);
  }
  writeIds(writer, removals);
  return writer.done();
}

/**
 * The columns in `bytes`, of the delta with the position `seq`.
 *
 * Throws `ProtocolError`: `columns.…` when the bits are not those of columns, else `delta.…` with the
 * reasons of a delta in CBOR.
 */
export function unpackDeltaColumns(bytes: Uint8Array, seq: number): DeltaColumns {
  const reader = new BitReader(bytes);
  const count = reader.expGolomb(COUNT_ORDER);
  const removalCount = reader.expGolomb(0);
  if (count + removalCount > limits.DELTA_ITEMS_MAX) {
    refuse("items", `at most ${limits.DELTA_ITEMS_MAX} items: got ${count + removalCount}`);
  }
  const ids = readIds(reader, count);
  const none = count === 0;
  const columns: DeltaColumns = {
    ids,
    weights: readSizes(reader, count).map((size) => size + DELTA_RANGES.weights.min),
    success: none ? [] : readSuccess(reader, count),
    samples: readSizes(reader, count),
    updatedAtS: none ? [] : readTimes(reader, count),
    refs: none ? [] : readRefs(reader, count, seq),
    removals: readIds(reader, removalCount),
  };
  reader.end();
  requireColumns(columns, seq, refuse);
  requireItems(ids, columns.removals);
  return columns;
}

function writeSuccess(writer: BitWriter, success: readonly number[]): void {
  const most = PERMILLE - Math.min(...success);
  const ceiling = SUCCESS_CEILINGS.findIndex((bound) => bound >= most);
  writer.bits(ceiling, SUCCESS_BITS);
  for (const permille of success) {
    writer.uniform(PERMILLE - permille, SUCCESS_CEILINGS[ceiling] as number);
  }
}

function readSuccess(reader: BitReader, count: number): number[] {
  const ceiling = SUCCESS_CEILINGS[reader.bits(SUCCESS_BITS)] as number;
  const success: number[] = [];
  for (let index = 0; index < count; index += 1) success.push(PERMILLE - reader.uniform(ceiling));
  return success;
}

function writeTimes(writer: BitWriter, times: readonly number[]): void {
  const [first = 0, ...rest] = times;
  const differences = rest.map((time, index) => time - (times[index] as number));
  const ordered = differences.every((difference) => difference >= 0);
  writer.bits(ordered ? 1 : 0, 1);
  writer.expGolomb(folded(first - TIME_ZERO_S), TIME_ORDER);
  writeSizes(writer, ordered ? differences : differences.map(folded));
}

function readTimes(reader: BitReader, count: number): number[] {
  const ordered = reader.bits(1) === 1;
  let time = TIME_ZERO_S + unfolded(reader.expGolomb(TIME_ORDER));
  const times = [time];
  for (const size of readSizes(reader, count - 1)) {
    time += ordered ? size : unfolded(size);
    times.push(time);
  }
  return times;
}

/** 0, −1, 1, −2, 2, … as 0, 1, 2, 3, 4, … */
function folded(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unfolded(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function writeRefs(writer: BitWriter, refs: readonly number[], seq: number): void {
  const kinds = refs.map(kindOf);
  const allAbsolute = kinds.every((kind) => kind === "absolute");
  writer.bits(allAbsolute ? 1 : 0, 1);
  if (allAbsolute) return;
  const occurring = REF_KINDS.filter((kind) => kinds.includes(kind));
  for (const kind of REF_KINDS) writer.bits(occurring.includes(kind) ? 1 : 0, 1);
  for (const kind of kinds) writer.uniform(occurring.indexOf(kind), occurring.length - 1);
  const told = refs.filter((ref) => ref !== 0);
  writeSizes(
    writer,
    told.map((ref) => seq - 1 - Math.abs(ref)),
  );
}

function kindOf(ref: number): RefKind {
  if (ref === 0) return "absolute";
  return ref > 0 ? "difference" : "kept";
}

function readRefs(reader: BitReader, count: number, seq: number): number[] {
  if (reader.bits(1) === 1) return new Array<number>(count).fill(0);
  const occurring = REF_KINDS.filter(() => reader.bits(1) === 1);
  if (occurring.length === 0) refuse("refs", "refs are of at least one kind");
  const kinds = Array.from(
    { length: count },
    () => occurring[reader.uniform(occurring.length - 1)] as RefKind,
  );
  const told = kinds.filter((kind) => kind !== "absolute");
  const distances = readSizes(reader, told.length);
  let next = 0;
  return kinds.map((kind) => {
    if (kind === "absolute") return 0;
    const written = seq - 1 - (distances[next++] as number);
    if (written < 1) refuse("refs", `before the first delta: ${written}`);
    return kind === "difference" ? written : -written;
  });
}

type Refuse = (field: string, message: string) => never;

const refuse: Refuse = (field, message) => {
  throw new ProtocolError(`delta.${field}`, message);
};

/** What both ends check: that every value is in its range. */
function requireColumns(columns: DeltaColumns, seq: number, refuse: Refuse): void {
  const count = columns.ids.length;
  const check = (field: string, values: readonly number[], { min, max }: Range): void => {
    if (values.length !== count) refuse(field, `must hold ${count} items`);
    for (let at = 0; at < count; at += 1) {
      const value = values[at] as number;
      if (Number.isSafeInteger(value) && value >= min && value <= max) continue;
      refuse(field, `must be ${min} to ${max}: got ${value}`);
    }
  };
  check("weights", columns.weights, DELTA_RANGES.weights);
  check("success", columns.success, DELTA_RANGES.success);
  check("samples", columns.samples, DELTA_RANGES.samples);
  check("updated-at", columns.updatedAtS, DELTA_RANGES.updatedAtS);
  check("refs", columns.refs, refRange(seq));
}
