import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits, OmegaError, seededRandom } from "../../../src/core/index.ts";
import { packDeltaColumns, unpackDeltaColumns } from "../../../src/wire/codec1/delta-columns.ts";
import type { DeltaColumns } from "../../../src/wire/delta-rules.ts";
import { refusalOf } from "../../support/reason.ts";
import { bitText } from "./bit-text.ts";
import { anyDeltaColumns, anyTampering, tamper } from "./column-arbitraries.ts";
import { typicalPush } from "./typical-columns.ts";

const SEED = 20_261_126;
const ROUNDS = 200;

const SMALL: DeltaColumns = {
  ids: ["00c0ffee00c0ffee", "tv-1"],
  weights: [1, 12],
  success: [1_000, 750],
  samples: [40, 3],
  updatedAtS: [1_790_000_000, 1_790_000_600],
  refs: [41, -7],
  removals: ["a"],
};

/** The same, bit by bit. */
const SMALL_BITS = `
  1 010 / 010                             ; 2 upserts, 1 removal
  0                                       ; not all ids are hexadecimal
  1 00000000 11000000 11111111 11101110   ; 00c0ffee
    00000000 11000000 11111111 11101110   ; 00c0ffee
  0 000011 / 111001 111011 000000 000010  ; 4 characters: t v - 1
  0000 / 1 / 0001 100                     ; weights less 1, order 0: 0, 11
  101 / 00000000 / 111001101              ; misses, at most 300: 0, 250
  0010 / 0001 011 00 / 1 11               ; samples, order 2: 40, 3
  1 / 01 0 0 10110111 00000101 00000000   ; in order; the first, order 25: 2 · 22774400
  1000 / 01 1 01011000                    ; differences, order 8: 600
  0 / 011 / 0 1                           ; refs: differences and kept occur; one of each
  0000 / 1 / 000001 00011                 ; distances, order 0: 0, 34
  0 / 0 000000 / 100110                   ; removals: not all hexadecimal; 1 character: a
`;

function answer(bytes: Uint8Array, seq: number): DeltaColumns | null {
  try {
    return unpackDeltaColumns(bytes, seq);
  } catch (error) {
    if (!(error instanceof OmegaError)) throw error;
    expect(`${error.code} ${error.reason}`).toMatch(/^Protocol (columns|delta)\./);
    return null;
  }
}

describe("delta columns", () => {
  it("any legal columns come back exactly, in their order", () => {
    fc.assert(
      fc.property(anyDeltaColumns, ({ columns, seq }) => {
        expect(unpackDeltaColumns(packDeltaColumns(columns, seq), seq)).toEqual(columns);
      }),
    );
  });

  it("P8: every proper prefix is refused by name", () => {
    fc.assert(
      fc.property(anyDeltaColumns, fc.nat(), ({ columns, seq }, cut) => {
        const bytes = packDeltaColumns(columns, seq);
        const prefix = bytes.subarray(0, cut % bytes.length);
        const refusal = refusalOf(() => unpackDeltaColumns(prefix, seq));
        expect(refusal).toMatch(/^Protocol columns\.truncated$/);
      }),
    );
  });

  it("P8: mutated bytes are refused by name, or are legal columns", () => {
    fc.assert(
      fc.property(anyDeltaColumns, anyTampering, ({ columns, seq }, changes) => {
        const read = answer(tamper(packDeltaColumns(columns, seq), changes), seq);
        if (read === null) return;
        expect(read.ids.length + read.removals.length).toBeLessThanOrEqual(limits.DELTA_ITEMS_MAX);
        expect(unpackDeltaColumns(packDeltaColumns(read, seq), seq)).toEqual(read);
      }),
      { numRuns: 1_000 },
    );
  });

  it("P8: any bytes are refused by name, or are legal columns", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 99 }),
        (bytes, seq) => {
          const read = answer(bytes, seq);
          if (read === null) return;
          expect(unpackDeltaColumns(packDeltaColumns(read, seq), seq)).toEqual(read);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ["within two hours", 130, 2],
    ["within a day", 134, 24],
    ["within a week", 137, 168],
  ])("ten patterns updated %s take at most %i bytes on average", (_when, bytes, hours) => {
    const random = seededRandom(SEED);
    let sum = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      sum += packDeltaColumns(typicalPush(random, 10, hours), 42).length;
    }
    expect(sum / ROUNDS).toBeLessThanOrEqual(bytes);
  });

  it("a difference costs some bits of ref, a pattern that is kept no more", () => {
    const random = seededRandom(SEED);
    const push = typicalPush(random, 10, 2);
    const size = (refs: number[]) => packDeltaColumns({ ...push, refs }, 1_000).length;
    const absolute = size(push.refs.map(() => 0));
    const recent = push.refs.map((_, index) => 990 + index);
    expect(size(recent)).toBeLessThanOrEqual(absolute + 7);
    expect(size(recent.map((seq) => -seq))).toBe(size(recent));
    const mixed = recent.map((seq, index) => [seq, -seq, 0][index % 3] ?? 0);
    expect(size(mixed)).toBeLessThanOrEqual(absolute + 8);
  });

  it("one outlier costs itself, not the column", () => {
    const push = typicalPush(seededRandom(SEED), 10, 2);
    const bytes = packDeltaColumns(push, 42).length;
    const samples = push.samples.with(3, 4_294_967_295);
    const updatedAtS = push.updatedAtS.with(0, 0);
    expect(packDeltaColumns({ ...push, samples, updatedAtS }, 42).length).toBeLessThan(bytes + 16);
  });

  it("the bytes of a small delta, which never change", () => {
    const bytes = packDeltaColumns(SMALL, 42);
    expect(bytes).toEqual(bitText(SMALL_BITS));
    expect(unpackDeltaColumns(bytes, 42)).toEqual(SMALL);
  });
});

describe("delta columns that are refused", () => {
  const one: DeltaColumns = {
    ids: ["tv-1"],
    weights: [1],
    success: [1_000],
    samples: [0],
    updatedAtS: [1_767_225_600],
    refs: [0],
    removals: [],
  };
  /** `one`, column by column, for seq 42. */
  const BITS = {
    counts: "1 001 1",
    ids: "0 0 000011 111001 111011 000000 000010",
    weights: "0000 1",
    success: "000",
    samples: "0000 1",
    updatedAt: "1 1 0000000000000000000000000",
    refs: "1",
  };
  const read = (changed: Partial<typeof BITS>) => {
    const columns = { ...BITS, ...changed };
    return refusalOf(() => unpackDeltaColumns(bitText(Object.values(columns).join("/")), 42));
  };

  it("what they are made from is legal", () => {
    expect(unpackDeltaColumns(bitText(Object.values(BITS).join("")), 42)).toEqual(one);
  });

  const NONE = { ids: "", weights: "", success: "", samples: "", updatedAt: "", refs: "" };
  const zeros = (count: number) => "0".repeat(count);
  const TOO_EARLY = (2 * 1_767_225_600 + 1 - 105 * 2 ** 25).toString(2).padStart(25, "0");

  it.each([
    ["no items", { ...NONE, counts: "1 000 1" }, "delta.items"],
    ["257 items", { counts: "000001 00001 001 1" }, "delta.items"],
    ["an id twice", { counts: "1 001 010", refs: `1 ${BITS.ids}` }, "delta.duplicate-id"],
    ["text that is hexadecimal", { ids: `0 0 001111 ${"000001".repeat(16)}` }, "columns.id"],
    ["a weight of 1024", { weights: "1010 1 1111111111" }, "delta.weights"],
    [
      "2^32 samples",
      { samples: `1111 ${zeros(17)} 1 ${zeros(16)}1 ${zeros(15)}` },
      "delta.samples",
    ],
    ["a time before 1970", { updatedAt: `1 0000001 101010 ${TOO_EARLY}` }, "delta.updated-at"],
    ["no kind of ref", { refs: "0 000" }, "delta.refs"],
    ["a ref to seq 0", { refs: "0 010 0000 000001 01010" }, "delta.refs"],
    ["a size beyond any number", { samples: `0000 ${zeros(60)} 1` }, "columns.run"],
    ["padding that is set", { refs: "1 1" }, "columns.padding"],
    ["a byte too many", { refs: `1 ${zeros(16)}` }, "columns.trailing"],
  ])("%s", (_what, changed, reason) => {
    expect(read(changed)).toBe(`Protocol ${reason}`);
  });

  it.each([
    ["weights", { weights: [0] }],
    ["weights", { weights: [1_024] }],
    ["weights", { weights: [1, 1] }],
    ["success", { success: [0.5] }],
    ["success", { success: [1_001] }],
    ["samples", { samples: [2 ** 32] }],
    ["updated-at", { updatedAtS: [2 ** 40 + 1] }],
    ["refs", { refs: [42] }],
    ["refs", { refs: [-42] }],
  ])("our own %s out of range are not sent", (field, changed) => {
    const act = () => packDeltaColumns({ ...one, ...changed }, 42);
    expect(refusalOf(act)).toBe(`Serialization delta.${field}`);
  });
});
