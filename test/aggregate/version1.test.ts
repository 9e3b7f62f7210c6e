import { describe, expect, it } from "vitest";
import type { VersionPolicy } from "../../src/aggregate/version-policy.ts";
import { planningRendition1, type Rendition1Plan } from "../../src/aggregate/version1.ts";
import { type Random, seededRandom } from "../../src/core/index.ts";
import {
  buildLadder1,
  type CodecModel,
  GRID,
  type GridVector,
  type Release,
  type Release1,
  type Slices,
  toGrid,
  toSpace,
  vectorsOf,
} from "../../src/wire/index.ts";
import { gaussian, heldModel } from "../wire/codec1/models.ts";
import { RELEASE_POLICY } from "./totals.ts";

const DIM = 64;
const MODEL = heldModel(DIM, 4);
const NEXT_MODEL = heldModel(DIM, 5);

function run<T>(work: Slices<T>): T {
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
  }
}

function plan(
  fresh: Release,
  previous: Release1 | null = null,
  {
    exact = false,
    newest = MODEL as CodecModel | null,
    policy = {} as Partial<VersionPolicy>,
  } = {},
): Rendition1Plan {
  const whole = { ...RELEASE_POLICY, ...policy };
  return run(planningRendition1(fresh, previous, { policy: whole, exact, newest }));
}

const draw = (random: Random): GridVector =>
  toGrid(Array.from({ length: DIM }, () => gaussian(random)));

function freshOf(version: number, vectors: readonly GridVector[], weight = 500): Release {
  return {
    version,
    dim: DIM,
    patterns: vectors.map((vector, index) => ({
      id: `p${String(index).padStart(3, "0")}`,
      weight,
      devices: 60,
      vector,
    })),
    trends: [{ id: "p000", score: 700 }],
  };
}

/** Each vector moved by `units` in a random direction. */
function moved(vectors: readonly GridVector[], units: number, random: Random): GridVector[] {
  return vectors.map((vector) => {
    const step = Array.from({ length: DIM }, () => gaussian(random));
    const norm = Math.hypot(...step);
    return vector.map((component, at) =>
      Math.round(component + ((step[at] as number) / norm) * units * GRID),
    );
  });
}

const rowsKept = (a: Release1, b: Release1) =>
  b.patterns.filter(({ layers }, index) => layers[0] === a.patterns[index]?.layers[0]).length;

describe("rendition 1 of the next release", () => {
  const random = seededRandom(17);
  const vectors = Array.from({ length: 60 }, () => draw(random));

  it("is made in the space of the newest model, or in the pattern domain", () => {
    const modelled = plan(freshOf(1, vectors));
    expect(modelled).toMatchObject({ changed: true, model: MODEL });
    expect(modelled.release).toMatchObject({ version: 1, space: 4, dim: DIM });
    const images = toSpace(MODEL, vectors);
    const { full } = vectorsOf(modelled.release, MODEL);
    for (const [index, vector] of full.entries()) {
      expect(near(vector, images[index] as GridVector)).toBeLessThan(0.3);
    }
    const plain = plan(freshOf(1, vectors), null, { newest: null });
    expect(plain).toMatchObject({ model: null, release: { space: 0 } });
    for (const [index, vector] of vectorsOf(plain.release, null).full.entries()) {
      expect(near(vector, vectors[index] as GridVector)).toBeLessThan(0.3);
    }
    const foreign = plan(freshOf(1, vectors), null, { newest: heldModel(16, 9) });
    expect(foreign.model).toBeNull();
  });

  it("a release that says the same again has not changed", () => {
    const first = plan(freshOf(1, vectors)).release;
    const again = plan(freshOf(2, vectors), first);
    expect(again.changed).toBe(false);
    expect(again.release).toEqual({ ...first, version: 2 });
  });

  it("a pattern that hardly moved keeps exactly its rows, one that moved does not", () => {
    const first = plan(freshOf(1, vectors)).release;
    const random = seededRandom(3);
    const still = plan(freshOf(2, moved(vectors, 0.003, random)), first).release;
    expect(rowsKept(first, still)).toBeGreaterThan(55);
    const away = plan(freshOf(2, moved(vectors, 0.3, random)), first).release;
    expect(rowsKept(first, away)).toBe(0);
  });

  it("P4, deletion: told exactly, nothing of the former rows or counts stays", () => {
    const first = plan(freshOf(1, vectors)).release;
    const fresh = freshOf(2, moved(vectors, 0.003, seededRandom(3)), 520);
    const exact = plan(fresh, first, { exact: true });
    expect(exact.changed).toBe(true);
    expect(rowsKept(first, exact.release)).toBe(0);
    const alone = plan(fresh, { ...first, patterns: first.patterns.slice(0, 1) }, { exact: true });
    expect(alone.release.patterns).toEqual(exact.release.patterns);
  });

  it("many small moves do not add up: what is released stays near what is meant", () => {
    const random = seededRandom(5);
    let meant = vectors;
    let released = plan(freshOf(1, meant)).release;
    const error = () => {
      const images = toSpace(MODEL, meant);
      const { full } = vectorsOf(released, MODEL);
      const sum = full.reduce((all, vector, at) => all + near(vector, images[at] as GridVector), 0);
      return sum / full.length;
    };
    const atFirst = error();
    for (let version = 2; version <= 30; version += 1) {
      meant = moved(meant, 0.01, random);
      released = plan(freshOf(version, meant), released).release;
    }
    expect(error()).toBeLessThan(atFirst + RELEASE_POLICY.holdDistance);
  });

  it("a weight that changed by less than the policy's share is held, apart from the rows", () => {
    const first = plan(freshOf(1, vectors)).release;
    const held = plan(freshOf(2, vectors, 560), first);
    expect(held.changed).toBe(false);
    const told = plan(freshOf(2, vectors, 900), first);
    expect(told.changed).toBe(true);
    expect(rowsKept(first, told.release)).toBe(60);
    expect(told.release.patterns.every(({ weight }) => weight === 896)).toBe(true);
  });

  it("a new model, like another dimension, starts from nothing: there is no rung to it", () => {
    const first = plan(freshOf(1, vectors)).release;
    const next = plan(freshOf(2, vectors), first, { newest: NEXT_MODEL });
    expect(next).toMatchObject({ changed: true, release: { space: 5 } });
    expect([...buildLadder1("acme", next.release, [first], NEXT_MODEL).deltas]).toEqual([]);
    const wider: Release = {
      version: 2,
      dim: 8,
      patterns: [{ id: "a", weight: 1, devices: 50, vector: new Int16Array(8).fill(900) }],
      trends: [],
    };
    expect(plan(wider, first)).toMatchObject({ changed: true, model: null, release: { dim: 8 } });
  });

  it("the first release changes nothing when there is nothing in it", () => {
    const nothing = { version: 1, dim: DIM, patterns: [], trends: [] };
    expect(plan(nothing).changed).toBe(false);
    const first = plan(freshOf(1, vectors)).release;
    expect(plan({ ...nothing, version: 2 }, first).changed).toBe(true);
  });
});

/** The distance of two vectors, in units. */
function near(a: GridVector, b: GridVector): number {
  return Math.hypot(...a.map((value, at) => value - (b[at] as number))) / GRID;
}
