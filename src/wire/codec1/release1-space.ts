/**
 * Where the rows of a release live: from a vector in the release's space to
 * coefficients that the coder likes, and back.
 *
 *   with a model   coefficient = component − mean; the spectrum is the model's
 *   without one    the rotation of rotation.ts, fixed seed; the spectrum is flat
 *
 * The fine layer codes what the coarse one left. Where the spectrum lies above
 * the coarse step, that is the quantiser's own error, nearly the same whatever
 * the coefficient was; below, the coefficient itself. So its spectrum is the
 * coarse one, capped a little below the coarse step: integers on both sides.
 * @module
 */
import { assert } from "../../core/index.ts";
import { DIMENSION_MAX } from "../../core/limits.ts";
import type { GridVector } from "../grid.ts";
import type { BlockPlan } from "./block.ts";
import type { CodecModel } from "./model.ts";
import type { LayerSteps } from "./release1.ts";
import { paddedLength, rotate, rotateBack } from "./rotation.ts";
import { gridVectorAt } from "./round.ts";
import { TRACKING_SEED } from "./seed.ts";

/** The trellis of every release: a server codes each once, and a thousand devices read it. */
const STATES = 64;
/**
 * The error of the coarse quantiser, in 1/32 octaves above its step. Measured: −22 to −26 wherever
 * the spectrum lies above the step, at 64 states.
 */
const COARSE_ERROR = -24;

export type Layer = "coarse" | "fine";

export interface ReleaseSpace {
  readonly dim: number;
  /** Coefficients of a vector: `dim`, or more where the rotation pads. */
  readonly width: number;
  /** round(32 · log2 σ) of each coefficient, before a release's own level. */
  readonly spectrum: Int16Array;
  /** Writes the coefficients of `vector` to `into` from `at` on. */
  analyse(vector: GridVector, into: Float64Array, at: number): void;
  /** The vector, rounded to the grid, of the coefficients in `from` at `at`; may overwrite them. */
  synthesise(from: Float64Array, at: number): GridVector;
}

/** The space of releases of `model`, or of those without one. */
export function releaseSpace(dim: number, model: CodecModel | null): ReleaseSpace {
  return model === null ? rotated(dim) : modelled(dim, model);
}

function modelled(dim: number, { dim: modelDim, mean, spectrum }: CodecModel): ReleaseSpace {
  assert(dim === modelDim, "a release has its model's dimension");
  return {
    dim,
    width: dim,
    spectrum,
    analyse(vector, into, at) {
      for (let index = 0; index < dim; index += 1) {
        into[at + index] = (vector[index] as number) - (mean[index] as number);
      }
    },
    synthesise(from, at) {
      for (let index = 0; index < dim; index += 1) {
        from[at + index] = (from[at + index] as number) + (mean[index] as number);
      }
      return gridVectorAt(from, at, dim);
    },
  };
}

function rotated(dim: number): ReleaseSpace {
  assert(dim <= DIMENSION_MAX, "a vector has a dimension in range");
  const width = paddedLength(dim);
  return {
    dim,
    width,
    spectrum: new Int16Array(width),
    analyse(vector, into, at) {
      into.fill(0, at + dim, at + width);
      into.set(vector, at);
      rotate(into, at, width, TRACKING_SEED);
    },
    synthesise(from, at) {
      rotateBack(from, at, width, TRACKING_SEED);
      return gridVectorAt(from, at, dim);
    },
  };
}

/** How the coder reads and writes `count` rows of one layer. */
export function layerPlan(
  space: ReleaseSpace,
  steps: LayerSteps,
  layer: Layer,
  count: number,
): BlockPlan {
  const cap = layer === "coarse" ? Number.POSITIVE_INFINITY : steps.coarse + COARSE_ERROR;
  return {
    dim: space.width,
    states: STATES,
    step: steps[layer],
    spectrum: space.spectrum.map((level) => Math.min(cap, level + steps.level)),
    kinds: new Array<"absolute">(count).fill("absolute"),
    gain: false,
  };
}
