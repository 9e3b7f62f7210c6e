/**
 * Contexts: which row of the entropy model a coefficient takes, known to both sides before its index.
 *
 * - **Known spread**: of a vector of the kind that the spectrum describes, spectrum and step give the
 *   class of each coefficient.
 * - **Followed spread**: nobody knows beforehand how large a difference is, nor how far down the
 *   spectrum it reaches. There the class follows what came before in the same vector: a running mean
 *   of the levels says how wide the next one is likely to be (backward adaptation, as in LOCO-I,
 *   Weinberger, Seroussi and Sapiro, 2000). Nothing is transmitted for it. The spectrum remains an
 *   upper bound.
 *
 *     mean ← mean + (min(level, 30) · 2^16 − mean) >> pace      pace 3, 4, 5, 6 as the vector goes on
 *
 * - **One spread**: all coefficients of a rotated vector are alike, so one class serves them all: the
 *   one whose own mean level is nearest to that of the whole vector. The coder sends it ahead.
 *
 * In each case the rows follow from spectrum, step and the vector's own indices, and from nothing
 * else in the block: a vector's indices mean the same wherever they stand. Integers only.
 * @module
 */
import { perObject } from "../../core/index.ts";
import { CLASSES, type EntropyModel, rowOf } from "./entropy.ts";
import { perStep } from "./step.ts";

export interface Contexts {
  /** Per coefficient: the row (under quantiser 0) that the mean may not exceed. */
  readonly ceilings: Uint8Array;
  /** Whether the mean matters; else the ceilings are the rows. */
  readonly follows: boolean;
  /** The row by `mean >> MEAN_LOOKUP_SHIFT`. */
  readonly byMean: Uint8Array;
  /** Per coefficient: how slowly the mean moves. */
  readonly paces: Uint8Array;
}

const MEAN_BITS = 16;
/** The mean before the first coefficient: about what a budget for real use leads to. */
export const MEAN_FIRST = 5 << (MEAN_BITS - 2);
/** A level counts for no more than this, so that one outlier is soon forgotten. */
const LEVEL_MAX = 30;
const MEAN_LOOKUP_SHIFT = 8;
const MEANS = ((LEVEL_MAX << MEAN_BITS) >> MEAN_LOOKUP_SHIFT) + 1;
const NOTHING = new Uint8Array(0);
/** A followed class stays where an index other than 0 is not too dear: the way back up. */
const ROW_FOLLOWED_MIN = 10;
const PACE_MIN = 3;
const PACE_MAX = 6;

/** The row of coefficient `at` under quantiser 0. */
export function rowAt({ ceilings, follows, byMean }: Contexts, at: number, mean: number): number {
  const ceiling = ceilings[at] as number;
  return follows ? Math.min(ceiling, byMean[mean >> MEAN_LOOKUP_SHIFT] as number) : ceiling;
}

/** The mean after coefficient `at`, of this level, ≥ 0. */
export function meanAfter(
  { follows, paces }: Contexts,
  at: number,
  mean: number,
  level: number,
): number {
  if (!follows) return mean;
  return mean + ((countedLevel(level) * (1 << MEAN_BITS) - mean) >> (paces[at] as number));
}

/** The spectrum must not change afterwards. */
export const knownContexts = perStep((spectrum: Int16Array, step): Contexts => {
  const ceilings = Uint8Array.from(spectrum, (width) => rowOf(width, step));
  return { ceilings, follows: false, byMean: NOTHING, paces: NOTHING };
});

const followedOf = perObject(({ ceilings }: Contexts) =>
  perObject((model: EntropyModel): Contexts => {
    const paces = new Uint8Array(ceilings.length);
    for (let at = 0; at < paces.length; at += 1) {
      // While fewer than 2^pace coefficients were seen, the mean is about that of what was seen.
      paces[at] = Math.min(PACE_MAX, Math.max(PACE_MIN, 32 - Math.clz32(at)));
    }
    return { ceilings, follows: true, byMean: tablesOf(model).followed, paces };
  }),
);

export function followedContexts(known: Contexts, model: EntropyModel): Contexts {
  return followedOf(known)(model);
}

/** One row for all coefficients. */
export function levelContexts(dim: number, row: number): Contexts {
  const ceilings = new Uint8Array(dim).fill(row);
  return { ceilings, follows: false, byMean: NOTHING, paces: NOTHING };
}

/** What a level counts for in {@link rowOfLevels}. */
export function countedLevel(level: number): number {
  return Math.min(LEVEL_MAX, level);
}

/** The row that serves all `count` coefficients of a vector whose counted levels add up to `sum`. */
export function rowOfLevels(sum: number, count: number, model: EntropyModel): number {
  const mean = Math.floor((sum * (1 << MEAN_BITS)) / count);
  return tablesOf(model).byMean[mean >> MEAN_LOOKUP_SHIFT] as number;
}

interface MeanTables {
  /** The row whose own mean level is nearest, by `mean >> MEAN_LOOKUP_SHIFT`. */
  readonly byMean: Uint8Array;
  /** The same, but not below {@link ROW_FOLLOWED_MIN}. */
  readonly followed: Uint8Array;
}

const tablesOf = perObject((model: EntropyModel): MeanTables => {
  const byMean = rowsByMean(model);
  return { byMean, followed: byMean.map((row) => Math.max(ROW_FOLLOWED_MIN, row)) };
});

function rowsByMean({ means }: EntropyModel): Uint8Array {
  const rows = new Uint8Array(MEANS);
  let index = 0;
  for (let at = 0; at < MEANS; at += 1) {
    // Means of the model have ten fractional bits.
    const twice = (at * 2) << (MEAN_LOOKUP_SHIFT - (MEAN_BITS - 10));
    while (index < CLASSES - 1 && twice > (means[index] as number) + (means[index + 1] as number)) {
      index += 1;
    }
    rows[at] = 2 * index;
  }
  return rows;
}
