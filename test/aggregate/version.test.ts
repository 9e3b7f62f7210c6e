import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoredSumRow } from "../../src/aggregate/merge.ts";
import { planRelease } from "../../src/aggregate/version.ts";
import { requireVersionPolicy, type VersionPolicy } from "../../src/aggregate/version-policy.ts";
import { totalsIn, totalsOf } from "../../src/aggregate/version-totals.ts";
import { limits, seededRandom } from "../../src/core/index.ts";
import {
  buildLadder,
  codec0,
  contentHash,
  downFrame,
  GRID,
  type GridVector,
  type Release,
} from "../../src/wire/index.ts";
import { vectorOf, zstd } from "./frames.ts";
import { axis, BUCKET, RELEASE_POLICY, sumRow } from "./totals.ts";

function plan(
  rows: readonly StoredSumRow[],
  previous: Release | null = null,
  policy: Partial<VersionPolicy> = {},
  { exact = false, dim = 8, bucket = BUCKET } = {},
) {
  const whole = { ...RELEASE_POLICY, ...policy };
  const spaced = totalsOf(rows, whole, bucket, dim);
  const totals = totalsIn(0, spaced, dim, (space, vectors) =>
    vectors.map((vector) => reflect(space, vector)),
  );
  return planRelease(totals, previous, { policy: whole, dim, exact, codec: codec0, zstd });
}

/**
 * A space of the tests: I − 2·u·uᵀ with a unit vector u that the space's number gives. Orthonormal,
 * full of fractions, and its own inverse.
 */
function reflect(space: number, vector: ArrayLike<number>): Float64Array {
  const u = Float64Array.from(vectorOf(space, vector.length));
  const norm = Math.hypot(...u);
  let along = 0;
  for (let at = 0; at < u.length; at += 1) along += ((u[at] ?? 0) / norm) * (vector[at] ?? 0);
  return u.map((value, at) => (vector[at] ?? 0) - 2 * along * (value / norm));
}

const inSpace = (space: number, vector: GridVector): GridVector =>
  space === 0 ? vector : Int16Array.from(reflect(space, vector), Math.round);

const idsOf = (release: Release) => release.patterns.map((pattern) => pattern.id);
const vectorIn = (release: Release, id: string): GridVector | undefined =>
  release.patterns.find((pattern) => pattern.id === id)?.vector;

/** `vector` with its first component moved by `units`. */
function moved(vector: GridVector, units: number): GridVector {
  const copy = vector.slice();
  copy[0] = (copy[0] ?? 0) + Math.round(units * GRID);
  return copy;
}

describe("version", () => {
  it("P4: the release is the same bytes however the devices are spread over shards", () => {
    const contribution = fc.record({
      pattern: fc.integer({ min: 0, max: 6 }),
      seed: fc.integer({ min: 1, max: 999 }),
      devices: fc.integer({ min: 1, max: 6 }),
      weight: fc.integer({ min: 1, max: 1_023 }),
      age: fc.integer({ min: 0, max: 12 }),
      space: fc.constantFrom(0, 1, 2, 0xffff),
      shard: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(contribution, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 999 }),
        (contributions, seed) => {
          const rowOf = ({ pattern, seed: at, age, ...counts }: (typeof contributions)[number]) =>
            sumRow(`p${pattern}`, vectorOf(at), { ...counts, bucket: BUCKET - age });
          const one = plan(contributions.map(rowOf)).release;
          const random = seededRandom(seed);
          const order = contributions
            .map((item) => ({ item, rank: random.next() }))
            .sort((a, b) => a.rank - b.rank);
          const other = plan(order.map(({ item }) => rowOf(item))).release;
          expect(contentHash(other)).toEqual(contentHash(one));
        },
      ),
      { numRuns: 80 },
    );
  });

  it("a release does not show in which spaces its devices spoke", () => {
    const said = Array.from({ length: 6 }, (_, index) => vectorOf(index + 1));
    const rowsIn = (spaceOf: (index: number) => number) =>
      said.flatMap((vector, index) => {
        const space = spaceOf(index);
        const rest = sumRow(`p${index}`, vector, { devices: 2, bucket: BUCKET - 1 });
        return [sumRow(`p${index}`, inSpace(space, vector), { space }), rest];
      });
    const plain = plan(rowsIn(() => 0)).release;
    const mixed = plan(rowsIn((index) => index % 3)).release;
    expect(mixed.patterns.map(({ vector, ...counts }) => counts)).toEqual(
      plain.patterns.map(({ vector, ...counts }) => counts),
    );
    for (const [index, { vector }] of mixed.patterns.entries()) {
      const other = plain.patterns[index]?.vector ?? [];
      const apart = Math.max(...vector.map((value, at) => Math.abs(value - (other[at] ?? 0))));
      // Rounding in the other space and a level of the codec, not more.
      expect(apart).toBeLessThanOrEqual(130);
    }
  });

  it("totals of one space are turned in one call, and those of the target not at all", () => {
    const rows = [
      sumRow("a", vectorOf(1), { space: 5 }),
      sumRow("b", vectorOf(2), { space: 5 }),
      sumRow("b", vectorOf(3), { space: 2 }),
      sumRow("c", vectorOf(4), { space: 3 }),
    ];
    const asked: [number, number][] = [];
    const spaced = totalsOf(rows, RELEASE_POLICY, BUCKET, 8);
    totalsIn(3, spaced, 8, (space, vectors) => {
      asked.push([space, vectors.length]);
      return vectors;
    });
    expect(asked).toEqual([
      [2, 1],
      [5, 2],
    ]);
  });

  it("nothing of a pattern with too few devices leaves, not even in the mean", () => {
    const rows = [sumRow("a", axis(0), { devices: 3 }), sumRow("b", axis(1), { devices: 3 })];
    const lone = sumRow("lone", axis(2), { devices: 2, weight: 1_023 });
    const { release, eligible } = plan([...rows, lone]);
    expect(idsOf(release)).toEqual(["a", "b"]);
    expect(eligible).toBe(2);
    expect(release).toEqual(plan(rows).release);
    expect(release.trends.map((trend) => trend.id)).not.toContain("lone");
  });

  it("ranks by weight times squared distance to the mean, and keeps the best", () => {
    const rows = [
      sumRow("far", axis(0), { weight: 100 }),
      sumRow("far-and-light", axis(1), { weight: 2 }),
      sumRow("near", axis(0, 8, 15_000), { weight: 90 }),
      sumRow("opposite", axis(0, 8, -16_384), { weight: 100 }),
    ];
    const { release } = plan(rows, null, { patternsMax: 2 });
    expect(idsOf(release)).toEqual(["far", "opposite"]);
  });

  it("a vector is the weighted mean pulled to the common mean by κ devices of average weight", () => {
    const rows = [sumRow("a", axis(0), { devices: 5 }), sumRow("b", axis(1), { devices: 5 })];
    const vector = vectorIn(plan(rows, null, { shrinkage: 5 }).release, "a");
    // Half of G_0 is axis 0, half axis 1; five real devices meet five pseudo-devices.
    expect(Math.abs((vector?.[0] ?? 0) - 0.75 * GRID)).toBeLessThanOrEqual(64);
    expect(Math.abs((vector?.[1] ?? 0) - 0.25 * GRID)).toBeLessThanOrEqual(64);
    const plain = vectorIn(plan(rows, null, { shrinkage: 0 }).release, "a");
    expect([...(plain ?? [])]).toEqual([...axis(0)]);
  });

  it("old buckets fade by λ per bucket, and those beyond the retained range are not read", () => {
    const rows = [
      sumRow("a", axis(0), { bucket: BUCKET - 2 }),
      sumRow("a", axis(1), { bucket: BUCKET - 30, weight: 1_023 }),
    ];
    const policy = { decayPerBucket: 0.5, shrinkage: 0 };
    const [pattern] = plan(rows, null, policy).release.patterns;
    expect(pattern).toMatchObject({ weight: 125, devices: 5 });
    expect([...(pattern?.vector ?? [])]).toEqual([...axis(0)]);
  });

  it("a gateway's clock that runs ahead makes nothing worth more than today", () => {
    const rows = [sumRow("a", axis(0), { bucket: BUCKET + 9 })];
    expect(plan(rows, null, { decayPerBucket: 0.5 }).release.patterns[0]?.weight).toBe(500);
  });

  it("hysteresis: a released pattern keeps its place unless it is clearly beaten", () => {
    const ids = ["a", "b", "c", "d", "e", "f"];
    const held = ids.map((id, index) => sumRow(id, axis(index)));
    const policy = { patternsMax: 6, hysteresis: 0.2, shrinkage: 0 };
    const first = plan(held, null, policy).release;
    const newcomer = (weight: number) => [...held, sumRow("new", axis(6), { weight })];
    expect(idsOf(plan(newcomer(105), first, policy).release)).toEqual(ids);
    expect(idsOf(plan(newcomer(200), first, policy).release)).toContain("new");
    expect(idsOf(plan(newcomer(105), null, policy).release)).toContain("new");
  });

  it("sparsity: what hardly moved keeps its bytes, so the delta carries only what moved", () => {
    const ids = Array.from({ length: 30 }, (_, index) => `p${String(index).padStart(2, "0")}`);
    const rowsAt = (units: number) =>
      ids.map((id, index) => sumRow(id, moved(vectorOf(index + 1), units)));
    const policy = { holdDistance: 0.05 };
    const first = plan(rowsAt(0), null, policy).release;
    expect(plan(rowsAt(0.01), first, policy).changed).toBe(false);
    const jumped = rowsAt(0.01).with(7, sumRow("p07", moved(vectorOf(8), -0.3)));
    const { release } = plan(jumped, first, policy);
    const different = ids.filter(
      (id) => vectorIn(first, id)?.join() !== vectorIn(release, id)?.join(),
    );
    expect(different).toEqual(["p07"]);
    const ladder = buildLadder("acme", release, [first], codec0, zstd);
    const deltaBytes = ladder.deltas.get(first.version)?.bytes.length ?? Number.NaN;
    expect(deltaBytes).toBeLessThan(ladder.snapshot.bytes.length / 2);
  });

  it("nothing new is no new release, and the second plan of the same sums says so", () => {
    const rows = [sumRow("a", axis(0)), sumRow("b", axis(1))];
    const first = plan(rows);
    expect(first).toMatchObject({ changed: true });
    expect(first.release.version).toBe(1);
    expect(plan(rows, first.release).changed).toBe(false);
    expect(plan([]).changed).toBe(false);
    expect(plan([], first.release)).toMatchObject({ changed: true, release: { patterns: [] } });
  });

  it("exact: after a deletion even a pattern that hardly moved is published afresh", () => {
    const first = plan([sumRow("a", axis(0)), sumRow("b", axis(1))]).release;
    const next = [sumRow("a", moved(axis(0), -0.004)), sumRow("b", axis(1))];
    expect(plan(next, first).changed).toBe(false);
    const exact = plan(next, first, {}, { exact: true });
    expect(exact.changed).toBe(true);
    expect(exact.release.patterns).toEqual(plan(next).release.patterns);
  });

  it("P7: what does not fit the frame is left out by rank, and named", () => {
    const dim = 2_048;
    const ids = Array.from({ length: 60 }, (_, index) => `p${String(index).padStart(2, "0")}`);
    const rows = ids.map((id, index) =>
      sumRow(id, vectorOf(index + 1, dim), { weight: 100 + index }),
    );
    const { fresh, release, leftOut } = plan(rows, null, { shrinkage: 0 }, { dim });
    expect(release.patterns.length + leftOut.length).toBe(60);
    // Rendition 1 has frames for all of them.
    expect(fresh.patterns.map(({ id }) => id).sort()).toEqual(ids);
    expect(leftOut.length).toBeGreaterThan(20);
    // The heavier a pattern the higher it ranks here, so the light ones stay behind.
    expect(Math.max(...leftOut.map((id) => Number(id.slice(1))))).toBeLessThan(
      Math.max(...release.patterns.map(({ id }) => Number(id.slice(1)))),
    );
    const ladder = buildLadder("acme", release, [], codec0, zstd);
    const applied = { epoch: 2 ** 48 - 1, seq: 2 ** 48 - 1 };
    const frame = downFrame(ladder, { base: 0, applied });
    expect(frame.length).toBeLessThanOrEqual(limits.DOWN_FRAME_BYTES_MAX);
  });

  it("a release survives the codec: quantising it again changes nothing", () => {
    const { release } = plan([sumRow("a", vectorOf(3)), sumRow("b", vectorOf(4))]);
    const ladder = buildLadder("acme", release, [], codec0, zstd);
    expect(ladder.contentHash).toEqual(contentHash(release));
  });

  it("trends: 500 is steady, above it rising; a score that hardly moved is held", () => {
    const rows = [
      sumRow("steady", axis(0), { bucket: BUCKET }),
      sumRow("steady", axis(0), { bucket: BUCKET - 10 }),
      sumRow("new", axis(1), { bucket: BUCKET }),
      sumRow("old", axis(2), { bucket: BUCKET - 10 }),
    ];
    const { trends } = plan(rows).release;
    expect(trends.map((trend) => trend.id)).toEqual(["new", "steady", "old"]);
    const score = (id: string) => trends.find((trend) => trend.id === id)?.score ?? -1;
    expect(score("steady")).toBe(500);
    expect(score("new")).toBeGreaterThan(600);
    expect(score("old")).toBe(0);
    const first = plan(rows).release;
    const slightly = [...rows, sumRow("new", axis(1), { bucket: BUCKET, devices: 1, weight: 9 })];
    expect(plan(slightly, first).release.trends).toEqual(trends);
    expect(plan(rows, null, { trendsMax: 1 }).release.trends.length).toBe(1);
  });

  it("a policy out of range is refused with every fault at once", () => {
    const policy = { ...RELEASE_POLICY, patternsMax: 0, decayPerBucket: 1.5, trendsMax: 257 };
    expect(() => requireVersionPolicy(policy)).toThrow(/patternsMax.*decayPerBucket.*trendsMax/s);
  });
});
