/**
 * Rounding numbers to whole grid steps: the nearest integer, halves up, as PROTOCOL 4a has it.
 * @module
 */

import type { GridVector } from "../grid.ts";

const COMPONENT_MIN = -32768;
const COMPONENT_MAX = 32767;
/** No honest residual is larger, and the sum with a reference saturates at an int16. */
const RESIDUAL_MAX = 0x1ffff;

/**
 * Writes `numbers`, from `from` on, to `residual`, rounded and clamped to ±131,071, and adds `mean`.
 * Free of branches: which way a number goes would be a guess, wrong as often as right.
 */
export function roundInto(
  residual: Int32Array,
  numbers: Float64Array,
  from: number,
  mean: GridVector | null = null,
): void {
  for (let at = 0; at < residual.length; at += 1) {
    const value = Math.min(RESIDUAL_MAX, Math.max(-RESIDUAL_MAX, numbers[from + at] as number));
    const floor = Math.floor(value);
    // 0 below a half, 1 from there on; 2 where the distance from −1 to barely below 0 is rounded to 1.
    const halves = (2 * (value - floor)) | 0;
    const known = mean === null ? 0 : (mean[at] as number);
    residual[at] = floor + (halves - (halves >> 1)) + known;
  }
}

/** The vector of `dim` components at `from` of `numbers`, each rounded and saturated at an int16. */
export function gridVectorAt(numbers: Float64Array, from: number, dim: number): GridVector {
  const vector = new Int16Array(dim);
  for (let at = 0; at < dim; at += 1) {
    const component = Math.round(numbers[from + at] as number);
    vector[at] = Math.min(COMPONENT_MAX, Math.max(COMPONENT_MIN, component));
  }
  return vector;
}
