/**
 * Sums: what all devices of a shard say about one pattern in one time bucket.
 *
 *   offset  bytes  field (little-endian; a float64 holds an integer)
 *   0       1      format, 2 (3 bytes of zero follow)
 *   4       2      dim, uint16
 *   6       2      parts, uint16
 *   8       8      weight    W = Σ w, float64
 *   16      8      devices   n, float64
 *   24      8      success   Σ w · permille, float64
 *   32      8      samples   Σ min(samples, 2^22), float64
 *   40      …      the parts, ascending by space: space, devices, and dim × Σ w · q, float64 each
 *
 * Vectors of different spaces cannot be added without turning one of them, and
 * turning rounds; so each space has a sum of its own, a part, and the releaser
 * brings them together once per release. A part without devices does not exist.
 *
 * Every number is an integer below 2^53, where float64 addition is exact and
 * therefore associative and invertible: the bytes of a row depend only on the
 * set of registers behind it, not on their order, their shard or what came and
 * went in between (P4). An empty row does not exist.
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

const FORMAT = 2;
const HEAD_BYTES = 40;
const PART_HEAD_BYTES = 16;
const COMPONENT_MAX = 32_768;
/** Bounds W so that |S| ≤ W · 2^15 and Σ w · permille stay below 2^53. */
const WEIGHT_SUM_MAX = 2 ** 38;
/** What one register may add to `samples`: 2^31 devices can, before 2^53. */
const SAMPLES_COUNTED_MAX = 2 ** 22;

assert(WEIGHT_SUM_MAX * COMPONENT_MAX <= 2 ** 53, "vector sums are exact");
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

/** Bytes of a row with `parts` parts. */
export function sumsBytes(parts: number, dim: number): number {
  return HEAD_BYTES + parts * (PART_HEAD_BYTES + 8 * dim);
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
  const factor = sign * given.weight;
  for (let index = 0; index < given.vector.length; index += 1) {
    const before = part.vector[index] as number;
    part.vector[index] = before + factor * (given.vector[index] as number);
  }
  part.devices += sign;
  sums.weight += factor;
  sums.devices += sign;
  sums.success += factor * given.successPermille;
  sums.samples += sign * Math.min(given.samples, SAMPLES_COUNTED_MAX);
  assert(part.devices >= 0 && sums.weight >= 0, "nothing is taken back that was not added");
  if (part.devices === 0) dropPart(sums, given.space, part);
  requireExact(sums);
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

/** The bytes of a row. Equal sums have equal bytes: parts are in order, and −0 is written as 0. */
export function encodeSums(sums: PatternSums): Uint8Array {
  const bytes = new Uint8Array(sumsBytes(sums.parts.size, sums.dim));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setUint16(4, sums.dim, true);
  view.setUint16(6, sums.parts.size, true);
  view.setFloat64(8, sums.weight, true);
  view.setFloat64(16, sums.devices, true);
  view.setFloat64(24, sums.success, true);
  view.setFloat64(32, sums.samples, true);
  let at = HEAD_BYTES;
  for (const [space, { devices, vector }] of partsInOrder(sums)) {
    view.setFloat64(at, space, true);
    view.setFloat64(at + 8, devices, true);
    at += PART_HEAD_BYTES;
    for (let index = 0; index < vector.length; index += 1, at += 8) {
      view.setFloat64(at, (vector[index] as number) + 0, true);
    }
  }
  return bytes;
}

/** Throws `SerializationError("record.sums")` on anything {@link encodeSums} would not write. */
export function decodeSums(bytes: Uint8Array): PatternSums {
  const [format = FORMAT, ...zeros] = bytes.subarray(0, 4);
  demand(format === FORMAT, `format ${format}; this version reads ${FORMAT}`);
  demand(bytes.length >= HEAD_BYTES, "a wrong length");
  demand(
    zeros.every((byte) => byte === 0),
    "bytes without meaning",
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dim = view.getUint16(4, true);
  const count = view.getUint16(6, true);
  demand(dim >= 1 && dim <= limits.DIMENSION_MAX, "a dimension out of range");
  demand(bytes.length === sumsBytes(count, dim), "a wrong length");
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
    parts: decodeParts(view, count, dim),
  };
  let devices = 0;
  for (const part of sums.parts.values()) devices += part.devices;
  demand(devices === sums.devices, "devices that are in none of its parts");
  return sums;
}

function decodeParts(view: DataView, count: number, dim: number): Map<number, SumsPart> {
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
    for (let index = 0; index < dim; index += 1, at += 8) {
      const value = view.getFloat64(at, true);
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
