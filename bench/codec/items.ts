/**
 * Ids and counts as real deltas and releases carry them: random 64-bit ids, skewed counts.
 * @module
 */
import { integerBelow, type Random } from "../../src/core/index.ts";
import type { PullItem, PushItem } from "./coder.ts";

const NOW_S = 1_795_000_000;
/** A device learns something new about a pattern every ten minutes or so. */
const GAP_S_MEAN = 600;

export function pushItems(count: number, random: Random): PushItem[] {
  let updatedAtS = NOW_S;
  return Array.from({ length: count }, () => {
    updatedAtS += Math.floor(-Math.log(1 - random.next()) * GAP_S_MEAN);
    return {
      id: randomId(random),
      weight: skewed(1, 500, random),
      // A device pushes what succeeded seven times in ten, ten times or more.
      success: 0.7 + 0.3 * random.next(),
      samples: skewed(10, 1_000, random),
      updatedAtS,
    };
  });
}

/** Ascending by id, as a release is. */
export function pullItems(count: number, random: Random): PullItem[] {
  return Array.from({ length: count }, () => randomId(random))
    .sort()
    .map((id) => {
      const devices = skewed(50, 100_000, random);
      return { id, devices, weight: devices * skewed(1, 100, random) };
    });
}

function randomId(random: Random): string {
  const half = () =>
    integerBelow(random, 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return half() + half();
}

/** An integer whose logarithm is uniform. */
function skewed(min: number, max: number, random: Random): number {
  return Math.floor(min * (max / min) ** random.next());
}
