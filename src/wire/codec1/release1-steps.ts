/**
 * Rate control of a release: the steps at which its layers fill the frames they
 * are meant for, with a little room to grow.
 *
 * Bytes fall nearly in a straight line over the step index, so a few trials
 * along that line find the smallest step that fits (the secant method).
 * @module
 */
import { assert } from "../../core/index.ts";
import { PARTS_MAX } from "../header.ts";
import { compareIds, type Release, type Trend } from "../release.ts";
import { encodeIndices } from "./block.ts";
import { roundCount } from "./count-grid.ts";
import type { CodecModel } from "./model.ts";
import { packReleaseColumns } from "./release-columns.ts";
import { type LayerSteps, RELEASE1_FRAME_BYTES_MAX } from "./release1.ts";
import { partBytesMax } from "./release1-body.ts";
import { type Layer, layerPlan, type ReleaseSpace, releaseSpace } from "./release1-space.ts";
import { coefficientsOf, NO_STEPS, quantiseLayer } from "./release1-vectors.ts";
import { FINE_SHARE_MIN, TRENDS_SHARE } from "./release1-writer.ts";
import { atOnce, type Slices } from "./slices.ts";
import { STEP_INDEX_MAX } from "./step.ts";

/** Coefficients for which one frame per layer is enough: 128 patterns of 384. */
const COEFFICIENTS_PER_FRAME = 128 * 384;
/** Both layers, and some parts to spare, within what a header can count. */
const FRAMES_MAX = 120;
/** Ids and counts may take this much of the coarse layer's frames before there are more of them. */
const COLUMNS_SHARE = 0.5;
/** What new steps leave free to grow. */
const RESERVE = 1 / 64;
/** Finer is not worth its bytes: 16 and 4 grid steps are cosines of 1 − 5·10^-5 and 1 − 4·10^-6. */
export const STEP_MIN: Readonly<Record<Layer, number>> = { coarse: 128, fine: 64 };
/** CBOR around the columns and rows of a part. */
const PART_OVERHEAD_BYTES = 32;
/** Of the spare room, what another block costs and a last row may not fill. */
const SPARE_UNUSED_BYTES = 64;
/** Bytes that a coefficient loses per step index: the first guess of the line's slope. */
const SLOPE = 0.6 / 32 / 8;

assert(2 * FRAMES_MAX < PARTS_MAX, "a transition at its largest can be numbered");

interface Counted {
  readonly id: string;
  readonly weight: number;
  readonly devices: number;
}

/** New steps for `release`, whose vectors are in the space of `model`. */
export function chooseSteps(
  release: Release,
  model: CodecModel | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
): LayerSteps {
  return atOnce(choosingSteps(release, model, frameBytes));
}

/** {@link chooseSteps} in slices. */
export function* choosingSteps(
  release: Release,
  model: CodecModel | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
): Slices<LayerSteps> {
  if (release.patterns.length === 0) return NO_STEPS;
  const space = releaseSpace(release.dim, model);
  const patterns = [...release.patterns].sort(compareIds);
  const frames = framesFor(patterns, release.trends, space.width, frameBytes);
  // Where a layer has several frames, what one of them will hold stands for all.
  const sample = patterns.filter((_, index) => index % frames === 0);
  const trends = release.trends.slice(0, Math.ceil(release.trends.length / frames));
  const room = roomFor(sample, trends, frameBytes);
  const vectors = sample.map(({ vector }) => vector);
  const coefficients = coefficientsOf(vectors, space);
  const level = levelOf(coefficients, space);
  const coarse = yield* findingStep(coefficients, space, "coarse", room.coarse, (step) => {
    return { coarse: step, fine: step, level };
  });
  const plan = layerPlan(space, { coarse, fine: coarse, level }, "coarse", sample.length);
  const { indices, left } = quantiseLayer(coefficients, plan);
  // What the coarse rows leave of their frame is filled with the first fine ones, if it is much.
  const spare = room.coarse - encodeIndices(indices, plan).length - SPARE_UNUSED_BYTES;
  const used = spare < FINE_SHARE_MIN * partBytesMax(frameBytes) ? 0 : spare;
  const fine = yield* findingStep(left, space, "fine", room.fine + used, (step) => {
    return { coarse, fine: step, level };
  });
  return { coarse, fine, level };
}

/** Frames that each layer of a release may take. */
export function framesFor(
  patterns: readonly Counted[],
  trends: readonly Trend[],
  width: number,
  frameBytes: number,
): number {
  const columns = columnsBytes(patterns, trends);
  const frames = Math.max(
    Math.ceil((patterns.length * width) / COEFFICIENTS_PER_FRAME),
    Math.ceil(columns / (COLUMNS_SHARE * partBytesMax(frameBytes))),
    1,
  );
  return Math.min(FRAMES_MAX, frames);
}

/** Bytes for the rows of either layer, in one frame that all of `patterns` share. */
function roomFor(
  patterns: readonly Counted[],
  trends: readonly Trend[],
  frameBytes: number,
): Readonly<Record<Layer, number>> {
  const bytes = partBytesMax(frameBytes);
  const room = Math.floor(bytes * (1 - RESERVE)) - PART_OVERHEAD_BYTES;
  const bare = columnsBytes(patterns, []);
  const trendBytes = columnsBytes(patterns, trends) - bare;
  const trendsFirst = Math.min(trendBytes, Math.floor(TRENDS_SHARE * bytes));
  return { coarse: room - bare - trendsFirst, fine: room - (trendBytes - trendsFirst) };
}

function columnsBytes(patterns: readonly Counted[], trends: readonly Trend[]): number {
  const columns = {
    ids: patterns.map(({ id }) => id),
    weights: patterns.map(({ weight }) => roundCount(weight)),
    devices: patterns.map(({ devices }) => roundCount(devices)),
    kept: [],
    removals: [],
    trends,
  };
  return packReleaseColumns(columns, []).length;
}

/** How far the energy of `coefficients` lies above what the spectrum expects, in 1/32 octaves of σ. */
function levelOf(coefficients: Float64Array, { spectrum, width }: ReleaseSpace): number {
  let energy = 0;
  for (const value of coefficients) energy += value * value;
  let expected = 0;
  for (const level of spectrum) expected += 2 ** (level / 16);
  const ratio = Math.max(1, energy) / ((expected * coefficients.length) / width);
  const level = Math.round(16 * Math.log2(ratio));
  return Math.min(STEP_INDEX_MAX, Math.max(-STEP_INDEX_MAX, level));
}

/** The smallest step at which the rows of `coefficients` take no more than `room` bytes. */
function* findingStep(
  coefficients: Float64Array,
  space: ReleaseSpace,
  layer: Layer,
  room: number,
  stepsAt: (step: number) => LayerSteps,
): Slices<number> {
  const bytesAt = (step: number) => {
    const plan = layerPlan(space, stepsAt(step), layer, coefficients.length / space.width);
    return encodeIndices(quantiseLayer(coefficients, plan).indices, plan).length;
  };
  let tooFine = STEP_MIN[layer] - 1;
  let fits = STEP_INDEX_MAX;
  const slopeMin = (SLOPE / 4) * coefficients.length;
  let slope = SLOPE * coefficients.length;
  let last: { readonly step: number; readonly bytes: number } | null = null;
  let step = firstGuess(coefficients, room);
  while (fits - tooFine > 1) {
    step = Math.min(fits - 1, Math.max(tooFine + 1, step));
    const bytes = bytesAt(step);
    yield;
    if (bytes <= room) fits = step;
    else tooFine = step;
    if (last !== null && last.step !== step) {
      slope = Math.max(slopeMin, (last.bytes - bytes) / (step - last.step));
    }
    last = { step, bytes };
    step += Math.ceil((bytes - room) / slope);
    if (step === last.step) step -= 1;
  }
  return fits;
}

/** The step of a flat spectrum with as much energy, at the rate that `room` allows. */
function firstGuess(coefficients: Float64Array, room: number): number {
  let energy = 0;
  for (const value of coefficients) energy += value * value;
  const rms = Math.sqrt(Math.max(1, energy) / coefficients.length);
  const rate = (8 * Math.max(1, room)) / coefficients.length;
  return Math.round(32 * (Math.log2(rms) - rate + 0.75));
}
