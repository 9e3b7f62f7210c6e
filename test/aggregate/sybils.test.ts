/**
 * Colluding devices (THREATS 21): what they can move is bounded, whatever they claim. The bound is
 * the one of docs/threats.md.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoredSumRow } from "../../src/aggregate/merge.ts";
import { contribute, emptySums, encodeSums } from "../../src/aggregate/sums.ts";
import { planRelease } from "../../src/aggregate/version.ts";
import { totalsIn, totalsOf } from "../../src/aggregate/version-totals.ts";
import { limits, type Random, seededRandom } from "../../src/core/index.ts";
import { codec0, GRID, type GridVector, normWithin, toGrid } from "../../src/wire/index.ts";
import { zstd } from "./frames.ts";
import { BUCKET, RELEASE_POLICY } from "./totals.ts";

const DIM = 16;
/** The longest votes there are: of the honest, who round, and of anyone who codes unbiased. */
const HONEST_NORM_MAX = 1.05;
const NORM_MAX = 1.5;
/** Rounding to the grid, of either release. */
const ROUNDING = (2 * Math.sqrt(DIM)) / GRID;

interface Vote {
  readonly pattern: string;
  readonly weight: number;
  readonly vector: GridVector;
}

function direction(random: Random): number[] {
  const raw = Array.from({ length: DIM }, () => random.next() - 0.5);
  const norm = Math.hypot(...raw);
  return raw.map((component) => component / norm);
}

/** A vote of any norm, as the server sees it once decoded: null where it is refused (pattern.norm). */
function admitted(at: readonly number[], norm: number): GridVector | null {
  const steps = at.map((component) => Math.round(component * norm * GRID));
  if (steps.some((step) => Math.abs(step) > 32_767)) return null;
  const vector = Int16Array.from(steps);
  return normWithin(vector, "unbiased") ? vector : null;
}

function rowsOf(votes: readonly Vote[]): StoredSumRow[] {
  const patterns = new Map<string, ReturnType<typeof emptySums>>();
  for (const { pattern, weight, vector } of votes) {
    const sums = patterns.get(pattern) ?? emptySums(DIM);
    patterns.set(pattern, sums);
    contribute(sums, { weight, successPermille: 500, samples: 1, space: 0, vector }, 1);
  }
  return [...patterns].map(([pattern, sums]) => ({
    ...{ tenant: "acme", pattern, bucket: BUCKET, blob: encodeSums(sums) },
  }));
}

/** The released vectors in units, before the codec rounds them. */
function released(votes: readonly Vote[]): Map<string, number[]> {
  const spaced = totalsOf(rowsOf(votes), RELEASE_POLICY, BUCKET, DIM);
  const totals = totalsIn(0, spaced, DIM, (_, vectors) => [...vectors]);
  const context = { policy: RELEASE_POLICY, dim: DIM, exact: true, codec: codec0, zstd };
  const { fresh } = planRelease(totals, null, context);
  return new Map(fresh.patterns.map(({ id, vector }) => [id, Array.from(vector, (n) => n / GRID)]));
}

const weightOf = (votes: readonly Vote[]) => votes.reduce((sum, { weight }) => sum + weight, 0);

/** How far a pattern may move: see docs/threats.md, "Colluding devices". */
function boundOf(pattern: string, honest: readonly Vote[], sybils: readonly Vote[]): number {
  const of = (votes: readonly Vote[]) => votes.filter((vote) => vote.pattern === pattern);
  const all = [...honest, ...sybils];
  const prior = (votes: readonly Vote[]) =>
    (RELEASE_POLICY.shrinkage * weightOf(votes)) / votes.length;
  const attackers = weightOf(sybils) / weightOf(all);
  const votes = weightOf(of(all)) + prior(all);
  const share = (weightOf(of(sybils)) + prior(all) * attackers) / votes;
  const own = weightOf(of(honest));
  const pull = prior(all) * (1 - attackers);
  const shift = Math.abs(own / (own + pull) - own / (own + prior(honest)));
  return (
    share * (NORM_MAX + HONEST_NORM_MAX) + (1 - share) * shift * 2 * HONEST_NORM_MAX + ROUNDING
  );
}

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.hypot(...a.map((component, at) => component - (b[at] ?? 0)));

describe("colluding devices", () => {
  it("THREATS 21: 30 % of the devices, with any norms and weights, move no pattern beyond the bound", () => {
    const scene = fc.record({
      seed: fc.integer({ min: 1, max: 1e6 }),
      devices: fc.integer({ min: 10, max: 60 }),
      patterns: fc.integer({ min: 1, max: 4 }),
      honestWeight: fc.integer({ min: 1, max: limits.WEIGHT_MAX }),
      norm: fc.constantFrom(1e-3, 0.5, 1, 1.2, 1.49, 1.5, 1.6, 10, 1e6),
      together: fc.boolean(),
    });
    let movedMax = 0;
    let admittedCount = 0;
    fc.assert(
      fc.property(scene, ({ seed, devices, patterns, honestWeight, norm, together }) => {
        const random = seededRandom(seed);
        const ids = Array.from({ length: patterns }, (_, at) => `p${at}`);
        const centres = new Map(ids.map((id) => [id, direction(random)]));
        const attackers = Math.floor(0.3 * devices);
        const aim = direction(random);
        const honest: Vote[] = [];
        const sybils: Vote[] = [];
        for (let device = 0; device < devices; device += 1) {
          for (const pattern of ids) {
            const centre = centres.get(pattern) as number[];
            if (device >= attackers) {
              const near = direction(random).map((n, at) => (centre[at] as number) + 0.5 * n);
              honest.push({ pattern, weight: honestWeight, vector: toGrid(near) });
              continue;
            }
            // Against the honest opinion, or all along one line, as loud as they can.
            const vector = admitted(together ? aim : centre.map((n) => -n), norm);
            if (vector === null) continue;
            admittedCount += 1;
            sybils.push({ pattern, weight: limits.WEIGHT_MAX, vector });
          }
        }
        const before = released(honest);
        const after = released([...honest, ...sybils]);
        for (const [pattern, vector] of before) {
          const moved = distance(vector, after.get(pattern) ?? []);
          movedMax = Math.max(movedMax, moved);
          expect(moved).toBeLessThanOrEqual(boundOf(pattern, honest, sybils));
          expect(Math.hypot(...(after.get(pattern) ?? []))).toBeLessThanOrEqual(
            NORM_MAX + ROUNDING,
          );
        }
      }),
      { numRuns: 300 },
    );
    expect(movedMax).toBeGreaterThan(0.5); // The attack was one.
    expect(admittedCount).toBeGreaterThan(1_000);
  });

  it("THREATS 21: where all weigh the same, 30 % move a pattern by no more than 0.77 units", () => {
    const random = seededRandom(21);
    const centre = direction(random);
    const honest = Array.from({ length: 70 }, () => ({
      ...{ pattern: "p0", weight: 500, vector: toGrid(centre) },
    }));
    const against = admitted(
      centre.map((n) => -n),
      1.499,
    );
    const sybils = Array.from({ length: 30 }, () => ({
      ...{ pattern: "p0", weight: 500, vector: against as GridVector },
    }));
    const moved = distance(
      released(honest).get("p0") as number[],
      released([...honest, ...sybils]).get("p0") as number[],
    );
    expect(moved).toBeGreaterThan(0.7);
    expect(moved).toBeLessThanOrEqual(0.77);
    expect(boundOf("p0", honest, sybils)).toBeLessThanOrEqual(0.8);
  });
});
