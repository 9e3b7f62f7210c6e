import { describe, expect, it } from "vitest";
import { fidelityOf, recallAt10 } from "../../bench/codec/metrics.ts";
import { iidSet } from "../../bench/codec/sets.ts";

const none = new Float64Array(2);

describe("bench: the metrics", () => {
  it("bench: an exact copy has cosine 1 and no error", () => {
    const vectors = Float32Array.of(1, 0, 0, 1);
    expect(fidelityOf(vectors, vectors, none)).toEqual({
      count: 2,
      cosine: 2,
      nmse: 0,
      error: 0,
      spread: 2,
    });
  });

  it("bench: cosine does not see a wrong length, the error does", () => {
    const found = fidelityOf(Float32Array.of(3, 4), Float32Array.of(1.5, 2), none);
    expect(found.cosine).toBeCloseTo(1, 12);
    expect(found.nmse).toBeCloseTo(0.25, 12);
  });

  it("bench: nothing decoded is no direction: cosine 0, error 1", () => {
    expect(fidelityOf(Float32Array.of(0, 2), none as never, none)).toMatchObject({
      cosine: 0,
      nmse: 1,
    });
  });

  it("bench: the spread is about the mean", () => {
    const mean = Float64Array.of(1, 1);
    const vectors = Float32Array.of(1, 2, 3, 1);
    expect(fidelityOf(vectors, vectors, mean).spread).toBe(1 + 4);
  });

  it("bench: recall is 1 for a copy of any lengths, and chance for a shuffled one", () => {
    const { test, query } = iidSet({ train: 0, test: 100, query: 50 }, 7, 16);
    expect(recallAt10(test, test, query, 16)).toBe(1);
    const scaled = test.map((x, at) => x * (1 + (Math.floor(at / 16) % 7)));
    expect(recallAt10(test, scaled, query, 16)).toBe(1);
    const moved = Float32Array.from(test, (_, at) => test[(at + 16 * 31) % test.length] as number);
    expect(recallAt10(test, moved, query, 16)).toBeLessThan(0.3);
  });
});
