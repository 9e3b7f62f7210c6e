/**
 * Domains: the coordinates in which the coefficients of a frame are quantised.
 *
 *            tracking                      unbiased
 *   model m  space m itself                space m, half-whitened, then rotated by a seed per vector
 *   none     space 0, rotated by one seed  space 0, rotated by a seed per vector
 *
 * **Half-whitening** multiplies coefficient i by σ_i^-½. An unbiased quantiser errs alike in all
 * rotated coefficients; undoing both gives coefficient i an error of variance ∝ σ_i, which of all
 * such weightings has the least sum. The factor is √(step(d_i)), d_i how far, in 1/32 octaves, the
 * spectrum of coefficient i lies below the largest, six octaves at most.
 *
 * A rotated vector has one width, so a flat spectrum; how wide, only a model can say beforehand.
 * Exact square roots, products and sums in a fixed order: both ends compute the same bits.
 * @module
 */
import { perObject } from "../../core/index.ts";
import type { CodecModel } from "./model.ts";
import { paddedLength, rotate, rotateBack } from "./rotation.ts";
import { STEP_INDEX_MAX, STEPS_PER_OCTAVE, stepOf } from "./step.ts";

export type Mode = "tracking" | "unbiased";

export interface Domain {
  /** Coefficients of a vector, ≥ dim. */
  readonly length: number;
  readonly spectrum: Int16Array;
  /** Whether the spectrum says nothing about the width. */
  readonly gain: boolean;
  /** The factor of each coefficient before the rotation; null: none. */
  readonly whitening: Float64Array | null;
  readonly rotated: boolean;
}

const WHITENING_DEPTH_MAX = 6 * STEPS_PER_OCTAVE;

export function domainOf(mode: Mode, model: CodecModel | null, dim: number): Domain {
  if (model === null) {
    const length = paddedLength(dim);
    const spectrum = new Int16Array(length);
    return { length, spectrum, gain: true, whitening: null, rotated: true };
  }
  if (mode === "unbiased") return whitened(model);
  const { spectrum } = model;
  return { length: dim, spectrum, gain: false, whitening: null, rotated: false };
}

const whitened = perObject(({ dim, spectrum }: CodecModel): Domain => {
  const length = paddedLength(dim);
  const whitening = new Float64Array(dim);
  let largest = 0;
  for (const width of spectrum) largest = Math.max(largest, width);
  let energy = 0;
  for (let at = 0; at < dim; at += 1) {
    const width = spectrum[at] as number;
    const factor = Math.sqrt(stepOf(Math.min(WHITENING_DEPTH_MAX, largest - width)));
    whitening[at] = factor;
    energy += stepOf(width) * stepOf(width) * factor * factor;
  }
  const flat = new Int16Array(length).fill(indexOfWidth(Math.sqrt(energy / length)));
  return { length, spectrum: flat, gain: false, whitening, rotated: true };
});

/** The first step index at or above a width. */
function indexOfWidth(width: number): number {
  let index = 0;
  while (index < STEP_INDEX_MAX && stepOf(index) < width) index += 1;
  return index;
}

/** Takes the vector at `at`, with zeros behind its dim coefficients, into the domain. */
export function intoDomain(domain: Domain, values: Float64Array, at: number, seed: number): void {
  const { whitening, length } = domain;
  if (whitening !== null) {
    for (let i = 0; i < whitening.length; i += 1) {
      values[at + i] = (values[at + i] as number) * (whitening[i] as number);
    }
  }
  if (domain.rotated) rotate(values, at, length, seed);
}

/** Undoes {@link intoDomain}, but for rounding. */
export function outOfDomain(domain: Domain, values: Float64Array, at: number, seed: number): void {
  const { whitening, length } = domain;
  if (domain.rotated) rotateBack(values, at, length, seed);
  if (whitening !== null) {
    for (let i = 0; i < whitening.length; i += 1) {
      values[at + i] = (values[at + i] as number) / (whitening[i] as number);
    }
  }
}

/** How much larger the energy of an error is in the domain than in space: for the encoder alone. */
export function loudness({ whitening, length }: Domain): number {
  if (whitening === null) return 1;
  let quiet = 0;
  for (const factor of whitening) quiet += 1 / (factor * factor);
  return length / quiet;
}
