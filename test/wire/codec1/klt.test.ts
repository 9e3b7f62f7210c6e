import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromSpace, toSpace } from "../../../src/wire/codec1/klt.ts";
import { GRID, type GridVector } from "../../../src/wire/grid.ts";
import { dot, heldModel, rowOf } from "./models.ts";

const MODELS = new Map([8, 22, 23, 24, 25, 96].map((dim) => [dim, heldModel(dim)]));

/** Vectors that a register may hold: no longer than 1.05 units, so none saturates. */
function anyRegister(dim: number): fc.Arbitrary<GridVector> {
  const most = Math.floor(GRID / Math.sqrt(dim));
  return fc
    .array(fc.integer({ min: -most, max: most }), { minLength: dim, maxLength: dim })
    .map((components) => Int16Array.from(components));
}

const anyBatch = fc
  .constantFrom(...MODELS.entries())
  .chain(([dim, model]) =>
    fc.array(anyRegister(dim), { maxLength: 40 }).map((vectors) => ({ dim, model, vectors })),
  );

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += ((a[at] as number) - (b[at] as number)) ** 2;
  return Math.sqrt(sum);
}

describe("the space of a codec model", () => {
  it("coordinate i of a vector is its product with row i, rounded", () => {
    fc.assert(
      fc.property(anyBatch, ({ model, vectors }) => {
        for (const [index, image] of toSpace(model, vectors).entries()) {
          const vector = vectors[index] as GridVector;
          expect(image).toEqual(
            Int16Array.from({ length: model.dim }, (_, row) =>
              Math.round(dot(rowOf(model, row), vector)),
            ),
          );
        }
      }),
    );
  });

  it("keeps norms, within the rounding to the grid", () => {
    fc.assert(
      fc.property(anyBatch, ({ dim, model, vectors }) => {
        for (const [index, image] of toSpace(model, vectors).entries()) {
          const before = Math.sqrt(dot(vectors[index] as GridVector, vectors[index] as GridVector));
          expect(Math.abs(Math.sqrt(dot(image, image)) - before)).toBeLessThanOrEqual(
            0.5 * Math.sqrt(dim) + 0.01,
          );
        }
      }),
    );
  });

  it("is left to where one came from, within the rounding to the grid", () => {
    fc.assert(
      fc.property(anyBatch, ({ dim, model, vectors }) => {
        const back = fromSpace(model, toSpace(model, vectors));
        for (const [index, original] of back.entries()) {
          const error = distance(original, vectors[index] as GridVector);
          expect(error).toBeLessThanOrEqual(0.5 * Math.sqrt(dim) + 0.05);
        }
      }),
    );
  });

  it("gives a vector the same image in any batch", () => {
    fc.assert(
      fc.property(anyBatch, ({ model, vectors }) => {
        const alone = vectors.map((vector) => toSpace(model, [vector])[0]);
        expect(toSpace(model, vectors)).toEqual(alone);
        const backAlone = vectors.map((vector) => fromSpace(model, [vector])[0]);
        expect(fromSpace(model, vectors)).toEqual(backAlone);
      }),
    );
  });

  it("results are the caller's own: the next call does not change them", () => {
    const model = heldModel(24);
    const [first] = toSpace(model, [new Int16Array(24).fill(100)]);
    const [firstBack] = fromSpace(model, [new Int16Array(24).fill(100)]);
    const copies = [first?.slice(), firstBack?.slice()];
    toSpace(model, [new Int16Array(24).fill(-3000)]);
    fromSpace(model, [new Int16Array(24).fill(-3000)]);
    expect([first, firstBack]).toEqual(copies);
  });

  it("saturates what leaves the int16 instead of wrapping round", () => {
    const model = heldModel(96);
    const along = Int16Array.from(rowOf(model, 0), (entry) => (entry < 0 ? -32768 : 32767));
    const [image] = toSpace(model, [along]);
    expect(image?.[0]).toBe(32767);
    const [opposite] = toSpace(model, [along.map((component) => -Math.max(component, -32767))]);
    expect(opposite?.[0]).toBe(-32768);
  });

  it("a vector of another dimension is the bug that it is", () => {
    expect(() => toSpace(heldModel(24), [new Int16Array(25)])).toThrow("the model's dimension");
    expect(() => fromSpace(heldModel(24), [new Int16Array(8)])).toThrow("the model's dimension");
  });
});
