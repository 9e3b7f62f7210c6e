/**
 * Sums: what all devices of a shard say about one pattern in one time bucket.
 *
 *   offset  bytes  field (little-endian; a float64 holds an integer)
 *   0       1      format, 3
 *   1       1      bytes of a component: 4 (int32) when all of the row fit, else 8 (float64)
 *   2       2      zero
 *   4       2      dim, uint16
 *   6       2      parts, uint16
 *   8       8      weight    W = Σ w, float64
 *   16      8      devices   n, float64
 *   24      8      success   Σ w · permille, float64
 *   32      8      samples   Σ min(samples, 2^22), float64
 *   40      …      the parts, ascending by space: space and devices, float64 each, and dim × Σ w · q
 *
 * Vectors of different spaces cannot be added without turning one of them, and
 * turning rounds; so each space has a sum of its own, a part, and the releaser
 * brings them together once per release. A part without devices does not exist.
 *
 * Every number is an integer below 2^53, where float64 addition is exact and
 * therefore associative and invertible: the bytes of a row depend only on the
 * set of registers behind it, not on their order, their shard or what came and
 * went in between (P4). An empty row does not exist. Format 2, which is read but
 * not written any more, is format 3 with a zero for 8.
 * @module
 */
import { assert, limits, SerializationError } from "../core/index.ts";
import { SPACE_MAX } from "./register.ts";

/** What the devices whose registers are in one space add up to. */
export interface SumsPart {
  devices: number;
  /** Σ w · q, grid steps times weight. */
  readonly vector: Float64Array;
}

export interface PatternSums {
  readonly dim: number;
  weight: number;
  /** The parts' devices together. */
  devices: number;
  success: number;
  samples: number;
  /** By space. */
  readonly parts: Map<number, SumsPart>;
}

const FORMAT = 3;
/** All components are float64, and the byte that would say so is 0. */
const FORMAT_WIDE = 2;
const WIDE = 8;
const NARROW = 4;
const HEAD_BYTES = 40;
const PART_HEAD_BYTES = 16;
const COMPONENT_MAX = 32_768;
/** Bounds W so that |S| ≤ W · 2^15 and Σ w · permille stay below 2^53. */
const WEIGHT_SUM_MAX = 2 ** 38;
/** What one register may add to `samples`: 2^31 devices can, before 2^53. */
const SAMPLES_COUNTED_MAX = 2 ** 22;

assert(WEIGHT_SUM_MAX * COMPONENT_MAX <= 2 ** 53, "vector sums are exact");
assert(2 * limits.WEIGHT_MAX * COMPONENT_MAX < 2 ** 31, "two contributions fit an int32");
assert(WEIGHT_SUM_MAX * SAMPLES_COUNTED_MAX > 2 ** 53, "the samples need a check of their own");
assert(limits.DIMENSION_MAX <= 0xffff && SPACE_MAX <= 0xffff, "dim and parts fit their fields");

/** One device's contribution to a row. */
export interface Contribution {
  readonly weight: number;
  readonly successPermille: number;
  readonly samples: number;
  readonly space: number;
  readonly vector: Int16Array;
}

/** Bytes of a row with `parts` parts, at most: with the widest components. */
export function sumsBytes(parts: number, dim: number): number {
  return rowBytes(parts, dim, WIDE);
}

function rowBytes(parts: number, dim: number, width: number): number {
  return HEAD_BYTES + parts * (PART_HEAD_BYTES + width * dim);
}

export function emptySums(dim: number): PatternSums {
  return { dim, weight: 0, devices: 0, success: 0, samples: 0, parts: new Map() };
}

export function copySums(sums: PatternSums): PatternSums {
  const parts = new Map<number, SumsPart>();
  for (const [space, { devices, vector }] of sums.parts) {
    parts.set(space, { devices, vector: vector.slice() });
  }
  return { ...sums, parts };
}

/** Adds (sign 1) or takes back (sign −1) one contribution, in place. */
export function contribute(sums: PatternSums, given: Contribution, sign: 1 | -1): void {
  assert(given.vector.length === sums.dim, "a contribution has its row's dimension");
  const part = partOf(sums, given.space);
  addScaled(part.vector, given.vector, sign * given.weight);
  part.devices += sign;
  sums.devices += sign;
  addNumbers(sums, given, sign);
  assert(part.devices >= 0 && sums.weight >= 0, "nothing is taken back that was not added");
  if (part.devices === 0) dropPart(sums, given.space, part);
  requireExact(sums);
}

/**
 * Takes `taken` back and adds `given` in its place, in place and in one pass: what
 * {@link contribute} does of the one and then of the other.
 */
export function exchange(sums: PatternSums, taken: Contribution, given: Contribution): void {
  const part = sums.parts.get(given.space);
  if (taken.space !== given.space || part === undefined) {
    contribute(sums, taken, -1);
    contribute(sums, given, 1);
    return;
  }
  const dims = given.vector.length === sums.dim && taken.vector.length === sums.dim;
  assert(dims, "a contribution has its row's dimension");
  addDifference(part.vector, given, taken);
  addNumbers(sums, taken, -1);
  assert(sums.weight >= 0, "nothing is taken back that was not added");
  addNumbers(sums, given, 1);
  requireExact(sums);
}

function addNumbers(sums: PatternSums, given: Contribution, sign: 1 | -1): void {
  const factor = sign * given.weight;
  sums.weight += factor;
  sums.success += factor * given.successPermille;
  sums.samples += sign * Math.min(given.samples, SAMPLES_COUNTED_MAX);
}

function addScaled(into: Float64Array, vector: Int16Array, factor: number): void {
  for (let index = 0; index < vector.length; index += 1) {
    into[index] = (into[index] as number) + factor * (vector[index] as number);
  }
}

function addDifference(into: Float64Array, given: Contribution, taken: Contribution): void {
  const { weight: plus, vector: added } = given;
  const { weight: minus, vector: removed } = taken;
  for (let index = 0; index < added.length; index += 1) {
    // In 32 bits, so there is nothing to round, and one number to turn into a float64.
    const change =
      Math.imul(plus, added[index] as number) - Math.imul(minus, removed[index] as number);
    into[index] = (into[index] as number) + change;
  }
}

/** Adds another shard's row of the same pattern and bucket, in place. */
export function addSums(into: PatternSums, other: PatternSums): void {
  assert(into.dim === other.dim, "rows of one pattern share a dimension");
  for (const [space, { devices, vector }] of other.parts) {
    const part = partOf(into, space);
    part.devices += devices;
    for (let index = 0; index < vector.length; index += 1) {
      part.vector[index] = (part.vector[index] as number) + (vector[index] as number);
    }
  }
  into.weight += other.weight;
  into.devices += other.devices;
  into.success += other.success;
  into.samples += other.samples;
  requireExact(into);
}

/** The part of `space`, made when there is none. */
function partOf(sums: PatternSums, space: number): SumsPart {
  const known = sums.parts.get(space);
  if (known !== undefined) return known;
  const part = { devices: 0, vector: new Float64Array(sums.dim) };
  sums.parts.set(space, part);
  return part;
}

function dropPart(sums: PatternSums, space: number, part: SumsPart): void {
  assert(
    part.vector.every((value) => value === 0),
    "what was added to a space is taken back exactly",
  );
  sums.parts.delete(space);
}

function requireExact(sums: PatternSums): void {
  assert(sums.weight <= WEIGHT_SUM_MAX, "vector sums stay exact");
  assert(sums.samples <= Number.MAX_SAFE_INTEGER, "sample sums stay exact");
}

/** Whether no device is behind the row; then everything else is zero too, or we are broken. */
export function isEmptySums(sums: PatternSums): boolean {
  if (sums.devices > 0) return false;
  const zero = sums.weight === 0 && sums.success === 0 && sums.samples === 0;
  assert(zero && sums.parts.size === 0, "what was added is taken back exactly");
  return true;
}

/** The parts, ascending by space: the one order in which everybody reads them. */
export function partsInOrder(sums: PatternSums): [space: number, part: SumsPart][] {
  return [...sums.parts].sort(([a], [b]) => a - b);
}

/**
 * The bytes of a row. Equal sums have equal bytes: parts are in order, components as narrow as they
 * can be, and −0 is written as 0.
 */
export function encodeSums(sums: PatternSums): Uint8Array {
  const parts = partsInOrder(sums);
  const width = parts.every(([, { vector }]) => fitsNarrow(vector)) ? NARROW : WIDE;
  const bytes = new Uint8Array(rowBytes(parts.length, sums.dim, width));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setUint8(1, width);
  view.setUint16(4, sums.dim, true);
  view.setUint16(6, parts.length, true);
  view.setFloat64(8, sums.weight, true);
  view.setFloat64(16, sums.devices, true);
  view.setFloat64(24, sums.success, true);
  view.setFloat64(32, sums.samples, true);
  let at = HEAD_BYTES;
  for (const [space, { devices, vector }] of parts) {
    view.setFloat64(at, space, true);
    view.setFloat64(at + 8, devices, true);
    at += PART_HEAD_BYTES;
    for (let index = 0; index < vector.length; index += 1, at += width) {
      const value = vector[index] as number;
      if (width === NARROW) view.setInt32(at, value, true);
      else view.setFloat64(at, value + 0, true);
    }
  }
  return bytes;
}

function fitsNarrow(vector: Float64Array): boolean {
  for (let index = 0; index < vector.length; index += 1) {
    const value = vector[index] as number;
    if (value !== (value | 0)) return false;
  }
  return true;
}

/**
 * Throws `SerializationError("record.sums")` on anything that {@link encodeSums} would not write, but
 * for format 2.
 */
export function decodeSums(bytes: Uint8Array): PatternSums {
  const [format = FORMAT, ...rest] = bytes.subarray(0, 4);
  const known = format === FORMAT || format === FORMAT_WIDE;
  demand(known, `format ${format}; this version reads ${FORMAT_WIDE} and ${FORMAT}`);
  demand(bytes.length >= HEAD_BYTES, "a wrong length");
  const width = format === FORMAT ? (rest.shift() ?? 0) : WIDE;
  demand(width === NARROW || width === WIDE, "components of no known width");
  demand(
    rest.every((byte) => byte === 0),
    "bytes without meaning",
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dim = view.getUint16(4, true);
  const count = view.getUint16(6, true);
  demand(dim >= 1 && dim <= limits.DIMENSION_MAX, "a dimension out of range");
  demand(bytes.length === rowBytes(count, dim, width), "a wrong length");
  const counted = (offset: number) => {
    const value = view.getFloat64(offset, true);
    demand(Number.isSafeInteger(value) && value >= 0, `no count at ${offset}`);
    return value;
  };
  const sums: PatternSums = {
    dim,
    weight: counted(8),
    devices: counted(16),
    success: counted(24),
    samples: counted(32),
    parts: decodeParts(view, count, dim, width),
  };
  let devices = 0;
  for (const part of sums.parts.values()) devices += part.devices;
  demand(devices === sums.devices, "devices that are in none of its parts");
  const narrow = [...sums.parts.values()].every(({ vector }) => fitsNarrow(vector));
  demand(format === FORMAT_WIDE || narrow === (width === NARROW), "wider components than it needs");
  return sums;
}

function decodeParts(
  view: DataView,
  count: number,
  dim: number,
  width: number,
): Map<number, SumsPart> {
  const parts = new Map<number, SumsPart>();
  let previous = -1;
  let at = HEAD_BYTES;
  for (let left = count; left > 0; left -= 1) {
    const space = view.getFloat64(at, true);
    const devices = view.getFloat64(at + 8, true);
    demand(Number.isInteger(space) && space > previous && space <= SPACE_MAX, "spaces in disorder");
    demand(Number.isSafeInteger(devices) && devices >= 1, `no devices in space ${space}`);
    at += PART_HEAD_BYTES;
    const vector = new Float64Array(dim);
    for (let index = 0; index < dim; index += 1, at += width) {
      const value = width === NARROW ? view.getInt32(at, true) : view.getFloat64(at, true);
      demand(Number.isSafeInteger(value), `no integer at component ${index}`);
      vector[index] = value;
    }
    parts.set(space, { devices, vector });
    previous = space;
  }
  return parts;
}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new SerializationError("record.sums", `stored sums have ${what}`);
}
