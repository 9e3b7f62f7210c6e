/**
 * Metadata as it is in practice, for sizes: the same for the same random numbers.
 * @module
 */
import { integerBelow, type Random } from "../../../src/core/index.ts";
import { roundCount } from "../../../src/wire/codec1/count-grid.ts";
import type { ReleaseColumns } from "../../../src/wire/codec1/release-columns.ts";
import type { DeltaColumns } from "../../../src/wire/delta-rules.ts";

const NOW_S = 1_790_000_000;
const HOUR_S = 3_600;

function hexId(random: Random): string {
  const half = () =>
    integerBelow(random, 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return half() + half();
}

/** An integer between `least` and `most` whose logarithm is spread evenly. */
function logUniform(random: Random, least: number, most: number): number {
  return Math.floor(least * (most / least) ** random.next());
}

/** A push of `count` new patterns that were updated within the same `hours`, in order of time. */
export function typicalPush(random: Random, count: number, hours: number): DeltaColumns {
  const column = (value: () => number) => Array.from({ length: count }, value);
  return {
    ids: Array.from({ length: count }, () => hexId(random)),
    weights: column(() => logUniform(random, 1, 150)),
    success: column(() => 700 + integerBelow(random, 301)),
    samples: column(() => logUniform(random, 10, 1_000)),
    updatedAtS: column(() => NOW_S + integerBelow(random, hours * HOUR_S)).sort((a, b) => a - b),
    refs: column(() => 0),
    removals: [],
  };
}

/** A snapshot of `count` patterns with unrelated weights and device counts. */
export function typicalPull(random: Random, count: number): ReleaseColumns {
  const column = (value: () => number) => Array.from({ length: count }, value);
  return {
    ids: Array.from({ length: count }, () => hexId(random)).sort(),
    weights: column(() => roundCount(logUniform(random, 50, 1_000_000))),
    devices: column(() => roundCount(logUniform(random, 50, 100_000))),
    kept: [],
    removals: [],
    trends: [],
  };
}
