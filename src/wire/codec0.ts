/**
 * Codec 0: int8 levels with one step per vector.
 *
 *   bytes        meaning
 *   2 · count    the step of each vector, uint16 little-endian, ≥ 1 grid step
 *   dim · count  the levels of each vector in turn, int8, −127…127
 *
 * residual = level · step, so |x − x̂| ≤ step / 2. Steps and levels stand in
 * columns of their own because zstd gains more on bytes of one kind.
 * @module
 */
import { assert, ProtocolError } from "../core/index.ts";
import type { Codec, CodedVectors } from "./codec.ts";
import type { Residual } from "./grid.ts";

const LEVEL_MAX = 127;
const STEP_BYTES = 2;
const STEP_MAX = 65535;
/** Up to this, every level times the step fits an int16. */
const NARROW_STEP_MAX = Math.floor(32767 / LEVEL_MAX);
/** The difference of two int16 is at most 65,535; rounded up to a whole level, 127 · 517. */
const RESIDUAL_MAX = 65659;

function encode(residuals: readonly Int32Array[], dim: number): CodedVectors {
  const count = residuals.length;
  const bytes = new Uint8Array(count * (STEP_BYTES + dim));
  const levels = new Int8Array(bytes.buffer, count * STEP_BYTES);
  const decoded: Int32Array[] = [];
  let errorEnergy = 0;
  let energy = 0;
  for (const [index, residual] of residuals.entries()) {
    assert(residual.length === dim, "every vector has the announced dimension");
    const step = stepFor(residual);
    bytes[index * STEP_BYTES] = step & 0xff;
    bytes[index * STEP_BYTES + 1] = step >> 8;
    const vector = new Int32Array(dim);
    for (let at = 0; at < dim; at += 1) {
      const value = residual[at] as number;
      const level = Math.round(value / step);
      levels[index * dim + at] = level;
      vector[at] = level * step;
      errorEnergy += (value - level * step) ** 2;
      energy += value * value;
    }
    decoded.push(vector);
  }
  return { bytes, decoded, nmse: energy === 0 ? 0 : errorEnergy / energy };
}

/**
 * The step of one vector. When all components are multiples of some number that fits 127 levels,
 * that number codes them without loss; this is what makes a decoded vector a fixed point.
 */
function stepFor(residual: Int32Array): number {
  let largest = 0;
  let divisor = 0;
  for (let at = 0; at < residual.length; at += 1) {
    const size = Math.abs(residual[at] as number);
    if (size > largest) largest = size;
    if (size !== 0 && divisor !== 1) divisor = greatestCommonDivisor(size, divisor);
  }
  assert(largest <= RESIDUAL_MAX, "a residual is the difference of two int16, coded or not");
  if (largest === 0) return 1;
  if (divisor <= STEP_MAX && largest <= divisor * LEVEL_MAX) return divisor;
  return Math.ceil(largest / LEVEL_MAX);
}

function greatestCommonDivisor(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller !== 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}

function decode(bytes: Uint8Array, count: number, dim: number): Residual[] {
  const bytesExpected = count * (STEP_BYTES + dim);
  if (bytes.length !== bytesExpected) {
    throw new ProtocolError(
      "codec.length",
      `codec 0 needs ${bytesExpected} bytes for ${count} vectors of ${dim}: got ${bytes.length}`,
      { detail: { bytes: bytes.length, count, dim } },
    );
  }
  const levels = new Int8Array(bytes.buffer, bytes.byteOffset + count * STEP_BYTES, count * dim);
  const vectors: Residual[] = [];
  for (let index = 0; index < count; index += 1) {
    const low = bytes[index * STEP_BYTES] as number;
    const step = low | ((bytes[index * STEP_BYTES + 1] as number) << 8);
    if (step === 0) throw new ProtocolError("codec.step", `the step of vector ${index} is 0`);
    const vector = step <= NARROW_STEP_MAX ? new Int16Array(dim) : new Int32Array(dim);
    if (scaleLevels(levels, index * dim, step, vector) < -LEVEL_MAX) {
      throw new ProtocolError("codec.level", `level −128 in vector ${index} is not used`);
    }
    vectors.push(vector);
  }
  return vectors;
}

/** Writes levels times step to `vector`; answers the least level. */
function scaleLevels(levels: Int8Array, from: number, step: number, vector: Residual): number {
  let least = 0;
  for (let at = 0; at < vector.length; at += 1) {
    const level = levels[from + at] as number;
    least = Math.min(least, level);
    vector[at] = level * step;
  }
  return least;
}

assert(RESIDUAL_MAX <= STEP_MAX * LEVEL_MAX, "127 levels of the largest step reach any residual");

export const codec0: Codec = { id: 0, name: "int8", encode, decode };
