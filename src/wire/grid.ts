/**
 * The grid: embeddings as integers.
 *
 * Every embedding that enters the system is rounded once to multiples of
 * 2^-14 of a unit and stays an integer from then on. Integers below 2^53 make
 * float64 sums associative, so aggregates are bit-identical under any order
 * of arrival (P4) and a device can compute exactly what the server holds (P6).
 * Steps of 2^-14 keep every component of a unit vector inside an int16.
 * @module
 */
import { assert, limits, SerializationError } from "../core/index.ts";

/** Grid steps in one unit. */
export const GRID = 16384;
/** One embedding, `dim` components, each in grid steps. */
export type GridVector = Int16Array;
/** What is added to a reference: an Int16Array when every component fits one, as it almost always does. */
export type Residual = Int16Array | Int32Array;
/** Whether an embedding was coded for the least error, or for one that is zero on average. */
export type CodingMode = "tracking" | "unbiased";

const COMPONENT_MIN = -32768;
const COMPONENT_MAX = 32767;
/** Rounding may lift a unit vector slightly above 1; more than this is a claim, not rounding. */
const NORM_MAX = 1.05;
/**
 * Of a vector coded unbiased: its error does not shrink it, so at a cosine of c to the original it
 * is 1/c long. One that is further off than this says too little to be worth a vote.
 */
const UNBIASED_NORM_MAX = 1.5;

assert(GRID <= COMPONENT_MAX, "a component of a unit vector fits an int16");
assert(
  limits.DIMENSION_MAX * COMPONENT_MIN ** 2 < Number.MAX_SAFE_INTEGER,
  "squared norms are exact",
);

/**
 * Rounds an embedding (8–4096 finite numbers) to the grid. A norm above 1 is scaled down to 1.
 *
 * Throws `SerializationError`: `pattern.dimension`, `pattern.not-finite`, or `pattern.zero` when
 * nothing would be left of it.
 */
export function toGrid(embedding: ArrayLike<number>): GridVector {
  const dim = embedding.length;
  if (dim < limits.DIMENSION_MIN || dim > limits.DIMENSION_MAX) {
    throw new SerializationError(
      "pattern.dimension",
      `an embedding has ${limits.DIMENSION_MIN} to ${limits.DIMENSION_MAX} components: got ${dim}`,
      { detail: { dim } },
    );
  }
  const factor = GRID / Math.max(1, normOf(embedding));
  const vector = new Int16Array(dim);
  let zero = true;
  for (let index = 0; index < dim; index += 1) {
    const component = Math.round((embedding[index] as number) * factor);
    vector[index] = component;
    if (component !== 0) zero = false;
  }
  if (zero) throw new SerializationError("pattern.zero", "an embedding must not be all zeros");
  return vector;
}

/** The Euclidean norm, free of overflow for components up to 1e308. */
function normOf(embedding: ArrayLike<number>): number {
  let largest = 0;
  for (let index = 0; index < embedding.length; index += 1) {
    const component = embedding[index] as number;
    if (!Number.isFinite(component)) {
      throw new SerializationError("pattern.not-finite", `component ${index} is ${component}`, {
        detail: { index },
      });
    }
    largest = Math.max(largest, Math.abs(component));
  }
  if (largest === 0) return 0;
  let sum = 0;
  for (let index = 0; index < embedding.length; index += 1) {
    const scaled = (embedding[index] as number) / largest;
    sum += scaled * scaled;
  }
  return largest * Math.sqrt(sum);
}

/** The embedding in units; exact, since every grid value is a float32. */
export function fromGrid(vector: GridVector): Float32Array {
  const embedding = new Float32Array(vector.length);
  for (let index = 0; index < vector.length; index += 1) {
    embedding[index] = (vector[index] as number) / GRID;
  }
  return embedding;
}

/** `target − reference` in grid steps; the target itself when there is no reference. */
export function residualOf(target: GridVector, reference: GridVector | null): Int32Array {
  const residual = Int32Array.from(target);
  if (reference === null) return residual;
  assert(reference.length === target.length, "target and reference share a dimension");
  for (let index = 0; index < residual.length; index += 1) {
    residual[index] = (residual[index] as number) - (reference[index] as number);
  }
  return residual;
}

/**
 * `reference + residual`, saturating at the ends of an int16. Both sides of the wire run exactly
 * this, so the device knows the register bit for bit (P6). Without a reference it may be the
 * residual itself.
 */
export function reconstruct(reference: GridVector | null, residual: Residual): GridVector {
  assert(
    reference === null || reference.length === residual.length,
    "reference and residual share a dimension",
  );
  if (reference === null && residual instanceof Int16Array) return residual;
  const vector = new Int16Array(residual.length);
  if (reference === null) {
    for (let index = 0; index < residual.length; index += 1) {
      vector[index] = saturated(residual[index] as number);
    }
    return vector;
  }
  for (let index = 0; index < residual.length; index += 1) {
    vector[index] = saturated((reference[index] as number) + (residual[index] as number));
  }
  return vector;
}

function saturated(component: number): number {
  return Math.min(COMPONENT_MAX, Math.max(COMPONENT_MIN, component));
}

/**
 * Whether the norm is at most 1.05 units, or 1.5 when coded unbiased (THREATS 21: a vote is bounded
 * whatever its author claims).
 */
export function normWithin(vector: GridVector, mode: CodingMode = "tracking"): boolean {
  const normMax = mode === "unbiased" ? UNBIASED_NORM_MAX : NORM_MAX;
  return squaredLength(vector) <= (normMax * GRID) ** 2;
}

/** Exact: two squares fit a uint32, and all of them a float64. */
function squaredLength(vector: GridVector): number {
  const paired = vector.length - (vector.length % 2);
  let sum = 0;
  for (let index = 0; index < paired; index += 2) {
    const first = vector[index] as number;
    const second = vector[index + 1] as number;
    sum += (Math.imul(first, first) + Math.imul(second, second)) >>> 0;
  }
  const last = paired < vector.length ? (vector[paired] as number) : 0;
  return sum + last * last;
}

/** Whether nothing is left of a vector or residual. */
export function isZero(vector: Residual): boolean {
  for (let index = 0; index < vector.length; index += 1) if (vector[index] !== 0) return false;
  return true;
}

/** Equal in every component. */
export function sameVector(a: GridVector, b: GridVector): boolean {
  return a === b || (a.length === b.length && a.every((component, at) => component === b[at]));
}
