import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Item, itemVector, makeCatalogue } from "../../src/fleet/catalogue.ts";
import { inventHistory } from "../../src/fleet/index.ts";

const DIM = 384;

const arbitraryItem: fc.Arbitrary<Item> = fc.record({
  id: fc.stringMatching(/^[a-z0-9]{1,12}$/),
  title: fc.string({ unit: "grapheme", maxLength: 40 }),
  year: fc.integer({ min: 0, max: 2030 }),
  genres: fc.uniqueArray(fc.constantFrom("Drama", "Comedy", "Crime", "Horror"), { maxLength: 4 }),
});
const arbitraryItems = fc.uniqueArray(arbitraryItem, {
  minLength: 1,
  maxLength: 12,
  selector: (item) => item.id,
});

/** In float64, apart from the code under test. */
function cosine(a: Float32Array, b: Float32Array): number {
  const product = (x: Float32Array, y: Float32Array) =>
    x.reduce((sum, value, index) => sum + value * (y[index] ?? Number.NaN), 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b));
}

describe("catalogue: vectors", () => {
  it("catalogue: every vector has norm 1, whatever is known of the item", () => {
    fc.assert(
      fc.property(arbitraryItems, (items) => {
        const catalogue = makeCatalogue(items, DIM);
        expect(catalogue.vectors.length).toBe(items.length * DIM);
        for (const index of items.keys()) {
          const vector = itemVector(catalogue, index);
          expect(vector.length).toBe(DIM);
          const norm = Math.hypot(...vector);
          expect(Math.abs(norm - 1)).toBeLessThan(1e-5);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("catalogue: an item's vector depends on nothing but the item: not on the run, the order or the neighbours", () => {
    fc.assert(
      fc.property(arbitraryItems, (items) => {
        const together = makeCatalogue(items, DIM);
        const turned = makeCatalogue(items.toReversed(), DIM);
        for (const [index, item] of items.entries()) {
          const vector = itemVector(together, index);
          expect(itemVector(makeCatalogue([item], DIM), 0)).toEqual(vector);
          expect(itemVector(turned, items.length - 1 - index)).toEqual(vector);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("catalogue: the vectors are these bytes on every machine; other bytes need a new catalogue epoch", () => {
    const items: Item[] = [
      { id: "0002844", title: "Fantômas", year: 1913, genres: ["Crime", "Drama"] },
      { id: "0004936", title: "The Bank", year: 1915, genres: ["Comedy", "Short"] },
      { id: "1", title: "", year: 0, genres: [] },
    ];
    const { vectors } = makeCatalogue(items, DIM);
    const bytes = Buffer.alloc(vectors.length * 4);
    for (const [index, value] of vectors.entries()) bytes.writeFloatLE(value, index * 4);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(
      "8ba6c21ad2349925957c34070be2bf5ecbf28a38dda7a516619c6fa481b211ee",
    );
  });

  it("catalogue: items that share a genre are nearer than items that share none, for every item", () => {
    const { items } = inventHistory(1, 7);
    const catalogue = makeCatalogue(items, DIM);
    const mean = (values: number[]) =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    for (const [index, item] of items.slice(0, 30).entries()) {
      const shared: number[] = [];
      const foreign: number[] = [];
      for (const [otherIndex, other] of items.entries()) {
        if (otherIndex === index) continue;
        const near = other.genres.some((genre) => item.genres.includes(genre)) ? shared : foreign;
        near.push(cosine(itemVector(catalogue, index), itemVector(catalogue, otherIndex)));
      }
      expect(shared.length, `somebody shares a genre with item ${index}`).toBeGreaterThan(0);
      expect(mean(shared), `item ${index}`).toBeGreaterThan(mean(foreign) + 0.02);
    }
  });

  it("catalogue: no two items coincide, even when nothing but the id tells them apart", () => {
    const same = { title: "Twins", year: 1988, genres: ["Comedy"] };
    const items = Array.from({ length: 100 }, (_, index) => ({ id: `${index}`, ...same }));
    const catalogue = makeCatalogue([...items, ...inventHistory(1, 1).items.slice(0, 100)], DIM);
    for (const left of catalogue.items.keys()) {
      for (let right = 0; right < left; right += 1) {
        const near = cosine(itemVector(catalogue, left), itemVector(catalogue, right));
        if (near > 0.9) expect.fail(`items ${left} and ${right} are as near as ${near}`);
      }
    }
  });
});
