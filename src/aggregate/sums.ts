/**
 * Sums: what all devices of a shard say about one pattern in one time bucket.
 *
 *   offset  bytes  field (little-endian float64, each holding an integer)
 *   0       1      format, 1 (7 bytes of zero follow)
 *   8       8      weight    W = Σ w
 *   16      8      devices   n
 *   24      8      success   Σ w · permille
 *   32      8      samples   Σ min(samples, 2^22)
 *   40      8·dim  vector    S = Σ w · q, grid steps
 *
 * Every number is an integer below 2^53, where float64 addition is exact and
 * therefore associative and invertible: the bytes of a row depend only on the
 * set of registers behind it, not on their order, their shard or what came and
 * went in between (P4). An empty row does not exist.
 * @module
 */
import { assert, limits, SerializationError } from "../core/index.ts";

export interface PatternSums {
  weight: number;
  devices: number;
  success: number;
  samples: number;
  readonly vector: Float64Array;
}

const FORMAT = 1;
const HEAD_BYTES = 40;
const COMPONENT_MAX = 32_768;
/** Bounds W so that |S| ≤ W · 2^15 and Σ w · permille stay below 2^53. */
const WEIGHT_SUM_MAX = 2 ** 38;
/** What one register may add to `samples`: 2^31 devices can, before 2^53. */
const SAMPLES_COUNTED_MAX = 2 ** 22;

assert(WEIGHT_SUM_MAX * COMPONENT_MAX <= 2 ** 53, "vector sums are exact");
assert(WEIGHT_SUM_MAX * SAMPLES_COUNTED_MAX > 2 ** 53, "the samples need a check of their own");

/** One device's contribution to a row. */
export interface Contribution {
  readonly weight: number;
  readonly successPermille: number;
  readonly samples: number;
  readonly vector: Int16Array;
}

export function emptySums(dim: number): PatternSums {
  return { weight: 0, devices: 0, success: 0, samples: 0, vector: new Float64Array(dim) };
}

export function copySums(sums: PatternSums): PatternSums {
  return { ...sums, vector: sums.vector.slice() };
}

/** Adds (sign 1) or takes back (sign −1) one contribution, in place. */
export function contribute(sums: PatternSums, part: Contribution, sign: 1 | -1): void {
  assert(part.vector.length === sums.vector.length, "a contribution has its row's dimension");
  const factor = sign * part.weight;
  for (let index = 0; index < part.vector.length; index += 1) {
    const before = sums.vector[index] as number;
    sums.vector[index] = before + factor * (part.vector[index] as number);
  }
  sums.weight += factor;
  sums.devices += sign;
  sums.success += factor * part.successPermille;
  sums.samples += sign * Math.min(part.samples, SAMPLES_COUNTED_MAX);
  assert(sums.devices >= 0 && sums.weight >= 0, "nothing is taken back that was not added");
  assert(sums.weight <= WEIGHT_SUM_MAX, "vector sums stay exact");
  assert(sums.samples <= Number.MAX_SAFE_INTEGER, "sample sums stay exact");
}

/** Adds another shard's row of the same pattern and bucket, in place. */
export function addSums(into: PatternSums, other: PatternSums): void {
  assert(into.vector.length === other.vector.length, "rows of one pattern share a dimension");
  for (let index = 0; index < other.vector.length; index += 1) {
    into.vector[index] = (into.vector[index] as number) + (other.vector[index] as number);
  }
  into.weight += other.weight;
  into.devices += other.devices;
  into.success += other.success;
  into.samples += other.samples;
  assert(into.weight <= WEIGHT_SUM_MAX, "vector sums stay exact");
  assert(into.samples <= Number.MAX_SAFE_INTEGER, "sample sums stay exact");
}

/** Whether no device is behind the row; then everything else is zero too, or we are broken. */
export function isEmptySums(sums: PatternSums): boolean {
  if (sums.devices > 0) return false;
  const zero = sums.weight === 0 && sums.success === 0 && sums.samples === 0;
  assert(zero && sums.vector.every((value) => value === 0), "what was added is taken back exactly");
  return true;
}

/** The bytes of a row. Equal sums have equal bytes: −0 is written as 0. */
export function encodeSums(sums: PatternSums): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + 8 * sums.vector.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setFloat64(8, sums.weight, true);
  view.setFloat64(16, sums.devices, true);
  view.setFloat64(24, sums.success, true);
  view.setFloat64(32, sums.samples, true);
  for (let index = 0; index < sums.vector.length; index += 1) {
    view.setFloat64(HEAD_BYTES + 8 * index, (sums.vector[index] as number) + 0, true);
  }
  return bytes;
}

/** Throws `SerializationError("record.sums")` on anything {@link encodeSums} would not write. */
export function decodeSums(bytes: Uint8Array): PatternSums {
  const dim = (bytes.length - HEAD_BYTES) / 8;
  demand(Number.isInteger(dim) && dim >= 1 && dim <= limits.DIMENSION_MAX, "a wrong length");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  demand(view.getFloat64(0, true) === HEAD_WORD, "an unknown format");
  const count = (offset: number) => {
    const value = view.getFloat64(offset, true);
    demand(Number.isSafeInteger(value) && value >= 0, `no count at ${offset}`);
    return value;
  };
  const vector = new Float64Array(dim);
  for (let index = 0; index < dim; index += 1) {
    const value = view.getFloat64(HEAD_BYTES + 8 * index, true);
    demand(Number.isSafeInteger(value), `no integer at component ${index}`);
    vector[index] = value;
  }
  return {
    weight: count(8),
    devices: count(16),
    success: count(24),
    samples: count(32),
    vector,
  };
}

/** The first eight bytes of a row, read as one word so that the padding is checked too. */
const HEAD_WORD = new DataView(Uint8Array.of(FORMAT, 0, 0, 0, 0, 0, 0, 0).buffer).getFloat64(
  0,
  true,
);

function demand(condition: boolean, what: string): void {
  if (!condition) throw new SerializationError("record.sums", `stored sums have ${what}`);
}
