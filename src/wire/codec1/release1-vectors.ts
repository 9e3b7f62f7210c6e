/**
 * Vectors into layers and back.
 * @module
 */
import { assert } from "../../core/index.ts";
import { fromGrid, GRID, type GridVector } from "../grid.ts";
import { compareIds, compareTrends, type Release } from "../release.ts";
import { type BlockPlan, dequantise, quantiseBlock } from "./block.ts";
import { roundCount } from "./count-grid.ts";
import { fromSpace } from "./klt.ts";
import type { CodecModel } from "./model.ts";
import type { LayerSteps, Preview1, PreviewPattern, Release1 } from "./release1.ts";
import { layerPlan, type ReleaseSpace, releaseSpace } from "./release1-space.ts";
import { atOnce, type Slices } from "./slices.ts";

/** Rows quantised in one slice: some 20 ms of 384 coefficients. */
const BATCH = 32;

/**
 * Rendition 1 of `release`, whose vectors are in the space of `model`: its rows at `steps`, counts on
 * their grid, everything in order. Equal vectors make equal rows, in whatever company.
 */
export function quantiseRelease1(
  release: Release,
  model: CodecModel | null,
  steps: LayerSteps,
): Release1 {
  return atOnce(quantising(release, model, steps));
}

/** {@link quantiseRelease1} in slices. */
export function* quantising(
  release: Release,
  model: CodecModel | null,
  steps: LayerSteps,
): Slices<Release1> {
  const { version, dim } = release;
  const space = releaseSpace(dim, model);
  const patterns = [...release.patterns].sort(compareIds);
  const rows = yield* quantisingRows(
    patterns.map(({ vector }) => vector),
    space,
    steps,
  );
  return {
    version,
    dim,
    space: model?.version ?? 0,
    steps: patterns.length === 0 ? NO_STEPS : steps,
    patterns: patterns.map(({ id, weight, devices }, index) => ({
      id,
      weight: roundCount(weight),
      devices: roundCount(devices),
      layers: rows[index] as [Int16Array, Int16Array],
    })),
    trends: [...release.trends].sort(compareTrends),
  };
}

/** The steps of a release without patterns. */
export const NO_STEPS: LayerSteps = { coarse: 0, fine: 0, level: 0 };

function* quantisingRows(
  vectors: readonly GridVector[],
  space: ReleaseSpace,
  steps: LayerSteps,
): Slices<[Int16Array, Int16Array][]> {
  const rows: [Int16Array, Int16Array][] = [];
  for (let from = 0; from < vectors.length; from += BATCH) {
    const batch = vectors.slice(from, from + BATCH);
    const coefficients = coefficientsOf(batch, space);
    const coarse = quantiseLayer(coefficients, layerPlan(space, steps, "coarse", batch.length));
    const fine = quantiseLayer(coarse.left, layerPlan(space, steps, "fine", batch.length));
    for (let at = 0; at < coefficients.length; at += space.width) {
      const end = at + space.width;
      rows.push([coarse.indices.slice(at, end), fine.indices.slice(at, end)]);
    }
    yield;
  }
  return rows;
}

/** The coefficients of all `vectors`, one after the other. */
export function coefficientsOf(vectors: readonly GridVector[], space: ReleaseSpace): Float64Array {
  const coefficients = new Float64Array(vectors.length * space.width);
  for (const [index, vector] of vectors.entries()) {
    space.analyse(vector, coefficients, index * space.width);
  }
  return coefficients;
}

/** The rows of one layer, and what they leave to the next. */
export function quantiseLayer(
  coefficients: Float64Array,
  plan: BlockPlan,
): { readonly indices: Int16Array; readonly left: Float64Array } {
  const indices = quantiseBlock(coefficients, plan);
  const said = dequantise(indices, plan);
  return { indices, left: coefficients.map((value, at) => value - (said[at] as number)) };
}

/**
 * The vectors of a release or a preview in its space, in the order of its patterns: as the coarse
 * layer alone says them, and as all that is there does.
 */
export function vectorsOf(
  release: Release1 | Preview1,
  model: CodecModel | null,
): { readonly coarse: GridVector[]; readonly full: GridVector[] } {
  requireModel(release, model);
  const space = releaseSpace(release.dim, model);
  const plans = {
    coarse: layerPlan(space, release.steps, "coarse", 1),
    fine: layerPlan(space, release.steps, "fine", 1),
  };
  const coarse: GridVector[] = [];
  const full: GridVector[] = [];
  for (const { layers } of release.patterns) {
    const coefficients = dequantise(layers[0], plans.coarse);
    const refined = layers[1] === null ? null : refine(coefficients, layers[1], plans.fine);
    const vector = space.synthesise(coefficients, 0);
    coarse.push(vector);
    full.push(refined === null ? vector : space.synthesise(refined, 0));
  }
  return { coarse, full };
}

function refine(coarse: Float64Array, row: Int16Array, plan: BlockPlan): Float64Array {
  return dequantise(row, plan).map((value, at) => (coarse[at] as number) + value);
}

/** The embeddings in units, in the pattern domain, as well as they are known. */
export function embeddingsOf(
  release: Release1 | Preview1,
  model: CodecModel | null,
): Float32Array[] {
  const { full } = vectorsOf(release, model);
  if (model === null) return full.map(fromGrid);
  return fromSpace(model, full).map((vector) => vector.map((component) => component / GRID));
}

/**
 * What each pattern is worth to a device that has room for some only: its weight times its squared
 * distance to the weighted mean, as a release ranks them.
 */
export function importancesOf(
  release: Release1,
  patterns: readonly PreviewPattern[],
  model: CodecModel | null,
): number[] {
  const space = releaseSpace(release.dim, model);
  const plan = layerPlan(space, release.steps, "coarse", 1);
  const rows = patterns.map(({ layers }) => dequantise(layers[0], plan));
  const mean = new Float64Array(space.width);
  const weight = patterns.reduce((sum, pattern) => sum + pattern.weight, 0) || 1;
  for (const [index, row] of rows.entries()) {
    const share = (patterns[index] as PreviewPattern).weight / weight;
    for (let at = 0; at < row.length; at += 1) {
      mean[at] = (mean[at] as number) + share * (row[at] as number);
    }
  }
  return rows.map((row, index) => {
    let squared = 0;
    for (let at = 0; at < row.length; at += 1) {
      squared += ((row[at] as number) - (mean[at] as number)) ** 2;
    }
    return squared * (patterns[index] as PreviewPattern).weight;
  });
}

function requireModel(release: Release1 | Preview1, model: CodecModel | null): void {
  assert(release.space === (model?.version ?? 0), "the vectors are in the model's space");
}
