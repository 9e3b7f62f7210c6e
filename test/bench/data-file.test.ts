import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fileSet, ROWS_MIN, splitOf, UsageError } from "../../bench/codec/data-file.ts";
import { iidSet } from "../../bench/codec/sets.ts";
import { tempDir } from "../support/disk.ts";

const dir = tempDir();
afterAll(() => dir.remove());
const dim = 8;

function write(name: string, vectors: Float32Array): string {
  const file = join(dir.path, name);
  writeFileSync(file, new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  return file;
}

const vectors = (rows: number) => iidSet({ train: rows, test: 0, query: 0 }, 4, dim).train;

describe("bench: vectors from a file", () => {
  it("bench: rows are split once each, scaled to unit length", () => {
    const given = vectors(700).map((x) => x * 3);
    const set = fileSet(write("mine.f32", given), dim, 1);
    expect(set).toMatchObject({ name: "mine", dim, white: false });
    const parts = [...set.train, ...set.test, ...set.query];
    expect(parts.length).toBe(given.length);
    const sorted = (values: Iterable<number>) => Float64Array.from(values).sort();
    const wanted = sorted(vectors(700));
    const worst = sorted(parts).reduce((max, x, at) => {
      return Math.max(max, Math.abs(x - (wanted[at] as number)));
    }, 0);
    expect(worst).toBeLessThan(1e-6);
    expect(set.test.length / dim).toBe(100);
  });

  it("bench: the split depends on the seed and nothing else", () => {
    const file = write("again.f32", vectors(500));
    expect(fileSet(file, dim, 1)).toEqual(fileSet(file, dim, 1));
    expect(fileSet(file, dim, 1).test).not.toEqual(fileSet(file, dim, 2).test);
  });

  it("bench: most rows are left to learn from, whatever the size", () => {
    for (const rows of [ROWS_MIN, 1000, 9125, 1_000_000]) {
      const { train, test, query } = splitOf(rows);
      expect(train + test + query).toBe(rows);
      expect(train).toBeGreaterThanOrEqual(rows / 2);
      expect(test % 100).toBe(0);
    }
  });

  it.each([
    ["one byte too many", () => write("odd.f32", new Float32Array(dim * 400 + 1)), "no whole"],
    ["too few rows", () => write("few.f32", vectors(399)), "at least 400"],
    ["an empty file", () => write("empty.f32", new Float32Array(0)), "at least 400"],
    ["no file", () => join(dir.path, "none.f32"), "cannot read"],
    [
      "a row of zeros",
      () => write("zero.f32", vectors(400).fill(0, 3 * dim, 4 * dim)),
      "row 3 is all zeros",
    ],
    [
      "a number that is none",
      () => write("nan.f32", vectors(400).fill(Number.NaN, 9, 10)),
      "row 1 has NaN at component 1",
    ],
  ])("bench: %s is refused with words that help", (_, make, words) => {
    const act = () => fileSet(make(), dim, 1);
    expect(act).toThrow(UsageError);
    expect(act).toThrow(words);
  });

  it.each([0, 7, 4097, 8.5])("bench: %d is refused as a dimension", (wrong) => {
    expect(() => fileSet(write("ok.f32", vectors(400)), wrong, 1)).toThrow(/--dim must be/);
  });
});
