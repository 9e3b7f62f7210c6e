/**
 * Turning what devices said in the spaces of codec models back into space 0, the pattern domain:
 * sums for a release, registers for learning the next model. A few at a time, so that the event
 * loop does not stall.
 * @module
 */
import { assert } from "../core/index.ts";
import { type CodecModel, fromSpace, type GridVector } from "../wire/index.ts";
import type { PlacedVector } from "./model-sample.ts";
import type { ModelShelf } from "./model-shelf.ts";
import { pause } from "./pause.ts";
import {
  type PatternTotals,
  type SpacedTotals,
  spacesOf,
  type ToTargetSpace,
  totalsIn,
} from "./version-totals.ts";

/** Vectors turned at once: about 10 ms of 384 dimensions. */
const TURNED_AT_ONCE = 128;

/**
 * Totals in space 0; `lost` are the ids of patterns with sums in a space whose model is gone, which
 * only happens when a delta arrives while its model, long unused, is being dropped. Rejects as
 * `ModelShelf.load` does.
 */
export async function totalsInSpace0(
  tenant: string,
  spaced: readonly SpacedTotals[],
  dim: number,
  shelf: Pick<ModelShelf, "load">,
): Promise<{ readonly totals: PatternTotals[]; readonly lost: string[] }> {
  const models = new Map<number, CodecModel | null>();
  for (const space of spacesOf(spaced)) {
    models.set(space, space === 0 ? null : await shelf.load(tenant, space));
  }
  const isLost = ({ parts }: SpacedTotals) =>
    [...parts.keys()].some((space) => space !== 0 && models.get(space) === null);
  const toSpace0: ToTargetSpace = (space, vectors) => {
    const model = models.get(space) ?? null;
    assert(model !== null, "what is turned has its model");
    return fromSpace(model, vectors);
  };
  const whole = spaced.filter((totals) => !isLost(totals));
  const totals: PatternTotals[] = [];
  for (let at = 0; at < whole.length; at += TURNED_AT_ONCE) {
    totals.push(...totalsIn(0, whole.slice(at, at + TURNED_AT_ONCE), dim, toSpace0));
    await pause();
  }
  return { totals, lost: spaced.filter(isLost).map(({ id }) => id) };
}

/** Vectors in space 0, on the grid, in no particular order, and without those whose model is gone. Rejects as `ModelShelf.load` does. */
export async function turnBack(
  tenant: string,
  placed: readonly PlacedVector[],
  shelf: Pick<ModelShelf, "load">,
): Promise<GridVector[]> {
  const patterns: GridVector[] = [];
  for (const [space, vectors] of bySpace(placed)) {
    if (space === 0) {
      patterns.push(...vectors);
      continue;
    }
    const model = await shelf.load(tenant, space);
    if (model !== null) patterns.push(...(await turnBackFrom(model, vectors)));
  }
  return patterns;
}

function bySpace(placed: readonly PlacedVector[]): Map<number, GridVector[]> {
  const groups = new Map<number, GridVector[]>();
  for (const { space, vector } of placed) {
    const group = groups.get(space);
    if (group === undefined) groups.set(space, [vector]);
    else group.push(vector);
  }
  return groups;
}

async function turnBackFrom(
  model: CodecModel,
  vectors: readonly GridVector[],
): Promise<GridVector[]> {
  const patterns: GridVector[] = [];
  for (let at = 0; at < vectors.length; at += TURNED_AT_ONCE) {
    for (const pattern of fromSpace(model, vectors.slice(at, at + TURNED_AT_ONCE))) {
      patterns.push(Int16Array.from(pattern, onGrid));
    }
    await pause();
  }
  return patterns;
}

function onGrid(component: number): number {
  return Math.min(32_767, Math.max(-32_768, Math.round(component)));
}
