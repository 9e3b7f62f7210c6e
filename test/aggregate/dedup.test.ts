import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  consume,
  consumedCount,
  EPOCHS_MAX,
  type EpochSeen,
  isConsumed,
  newestConsumed,
} from "../../src/aggregate/dedup.ts";
import { limits } from "../../src/core/index.ts";

function consumeAll(positions: readonly (readonly [number, number])[]): readonly EpochSeen[] {
  let epochs: readonly EpochSeen[] = [];
  for (const [epoch, seq] of positions) {
    const consumption = consume(epochs, { epoch, seq });
    if (consumption.verdict === "fresh") epochs = consumption.epochs;
  }
  return epochs;
}

describe("dedup", () => {
  it("P2: agrees with a set of every position ever consumed", () => {
    const position = fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 600 })),
    );
    fc.assert(
      fc.property(fc.array(position, { maxLength: 400 }), (positions) => {
        let epochs: readonly EpochSeen[] = [];
        const model = new Map<number, Set<number>>();
        for (const [epoch, seq] of positions) {
          const seen = model.get(epoch) ?? new Set<number>();
          model.set(epoch, seen);
          let low = 0;
          while (seen.has(low + 1)) low += 1;
          const consumption = consume(epochs, { epoch, seq });
          if (seen.has(seq)) {
            expect(consumption.verdict).toBe("duplicate");
          } else if (seq > low + limits.DEDUP_WINDOW) {
            expect(consumption).toEqual({ verdict: "refused", reason: "seq.window" });
          } else {
            expect(consumption.verdict).toBe("fresh");
            if (consumption.verdict === "fresh") epochs = consumption.epochs;
            seen.add(seq);
          }
        }
        const total = [...model.values()].reduce((sum, seen) => sum + seen.size, 0);
        expect(consumedCount(epochs)).toBe(total);
        for (const [epoch, seen] of model) {
          for (let seq = 1; seq <= 600; seq += 1) {
            expect(isConsumed(epochs, { epoch, seq })).toBe(seen.has(seq));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("any order of a full window ends in the same cursor, without bits left over", () => {
    const seqs = Array.from({ length: limits.DEDUP_WINDOW }, (_, index) => index + 1);
    fc.assert(
      fc.property(
        fc.shuffledSubarray(seqs, { minLength: seqs.length, maxLength: seqs.length }),
        (order) => {
          const [seen] = consumeAll(order.map((seq) => [7, seq] as const));
          expect(seen).toEqual({ epoch: 7, low: seqs.length, ahead: new Uint8Array(32) });
        },
      ),
      { numRuns: 30 },
    );
  });

  it("never changes the cursor it was given", () => {
    const before = consumeAll([
      [1, 1],
      [1, 3],
    ]);
    const copy = structuredClone(before);
    consume(before, { epoch: 1, seq: 2 });
    consume(before, { epoch: 2, seq: 1 });
    expect(before).toEqual(copy);
  });

  it("keeps the four newest epochs and says so of older ones", () => {
    const epochs = consumeAll([
      [10, 1],
      [20, 1],
      [30, 1],
      [40, 1],
      [50, 1],
    ]);
    expect(epochs.map((seen) => seen.epoch)).toEqual([20, 30, 40, 50]);
    expect(epochs.length).toBe(EPOCHS_MAX);
    expect(consume(epochs, { epoch: 10, seq: 1 })).toEqual({
      verdict: "refused",
      reason: "epoch.expired",
    });
    expect(consume(epochs, { epoch: 25, seq: 1 }).verdict).toBe("fresh");
    expect(consume(epochs, { epoch: 20, seq: 1 }).verdict).toBe("duplicate");
  });

  it("a late delta of an older incarnation still counts while there is room", () => {
    const epochs = consumeAll([
      [9, 1],
      [4, 2],
    ]);
    expect(epochs.map((seen) => seen.epoch)).toEqual([4, 9]);
    expect(newestConsumed(epochs)).toEqual({ epoch: 9, seq: 1 });
  });

  it("the newest position is the highest one consumed, gaps or not", () => {
    expect(newestConsumed([])).toBeNull();
    expect(
      newestConsumed(
        consumeAll([
          [1, 1],
          [1, 200],
          [1, 9],
        ]),
      ),
    ).toEqual({ epoch: 1, seq: 200 });
  });

  describe("THREATS 20: what a hostile position gets", () => {
    const epochs = consumeAll([
      [5, 1],
      [5, 2],
    ]);
    it.each([
      ["a replay", { epoch: 5, seq: 2 }, "duplicate"],
      ["the next one", { epoch: 5, seq: 3 }, "fresh"],
      ["a gap within the window", { epoch: 5, seq: 258 }, "fresh"],
      ["a gap beyond the window", { epoch: 5, seq: 259 }, "seq.window"],
      ["seq 0", { epoch: 5, seq: 0 }, "position.invalid"],
      ["seq −1", { epoch: 5, seq: -1 }, "position.invalid"],
      ["seq 1.5", { epoch: 5, seq: 1.5 }, "position.invalid"],
      ["seq 2^53", { epoch: 5, seq: 2 ** 53 }, "position.invalid"],
      ["seq as text", { epoch: 5, seq: "3" as unknown as number }, "position.invalid"],
      ["seq as BigInt", { epoch: 5, seq: 3n as unknown as number }, "position.invalid"],
      ["a far jump", { epoch: 5, seq: 2 ** 53 - 1 }, "seq.window"],
      ["epoch 0", { epoch: 0, seq: 1 }, "position.invalid"],
      ["a factory wipe: a new epoch from seq 1", { epoch: 6, seq: 1 }, "fresh"],
    ])("%s", (_name, position, expected) => {
      const consumption = consume(epochs, position);
      const answer = consumption.verdict === "refused" ? consumption.reason : consumption.verdict;
      expect(answer).toBe(expected);
    });
  });
});
