import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { integerBelow, OmegaError, seededRandom } from "../../../src/core/index.ts";
import { roundCount } from "../../../src/wire/codec1/count-grid.ts";
import {
  packReleaseColumns,
  type ReleaseColumns,
  unpackReleaseColumns,
} from "../../../src/wire/codec1/release-columns.ts";
import { RELEASE_PATTERNS_MAX, RELEASE_TRENDS_MAX } from "../../../src/wire/release.ts";
import { refusalOf } from "../../support/reason.ts";
import { bitText } from "./bit-text.ts";
import { anyReleaseColumns, anyTampering, tamper } from "./column-arbitraries.ts";
import { typicalPull } from "./typical-columns.ts";

const SEED = 20_261_126;
const BASE = ["0000000000000001", "a000", "b"];
const SMALL: ReleaseColumns = {
  ids: ["00c0ffee00c0ffee", "a000"],
  weights: [104, 20],
  devices: [52, 20],
  kept: [1],
  removals: ["b"],
  trends: [
    { id: "a000", score: 600 },
    { id: "tt9", score: 500 },
  ],
};

/** The same, bit by bit. */
const SMALL_BITS = {
  removals: "01 / 0000 / 001 ; one of 3, order 0: after two others",
  changed: "10 / 0000 / 01 ; one of the 2 left: after one other",
  kept: "1 ; the one that changed",
  fresh: `
    1 001 / 1 000 / 110111              ; 1 of 64 bits, no text; order 55
    01 / 1000000 11111111 11101110      ; 1 · 2^55 and 55 bits more
    00000000 11000000 11111111 11101110`,
  weights: "00010010 / 0 0010 / 00001 11 / 1 00 ; from level 18, Rice 2: 37, 18",
  devices: "0 / 00010010 / 0 0010 / 001 11 / 1 00 ; themselves; from 18, Rice 2: 29, 18",
  trends: `
    01 / 0000 / 001                     ; one of the 3 patterns there are then: the last
    1 000 / 1 001                       ; besides, one text
    0000 / 01 1 / 111001 111001 001010  ; of 3 characters: t t 9`,
  scores: "1000001011 / 0 0101 / 0001 00100 / 1 00000 ; from 500, Rice 5: 600, 500",
};

function answer(bytes: Uint8Array, base: readonly string[]): ReleaseColumns | null {
  try {
    return unpackReleaseColumns(bytes, base);
  } catch (error) {
    if (!(error instanceof OmegaError)) throw error;
    expect(`${error.code} ${error.reason}`).toMatch(/^Protocol (columns|release)\./);
    return null;
  }
}

describe("release columns", () => {
  it("any legal columns come back exactly, as a snapshot or a difference", () => {
    fc.assert(
      fc.property(anyReleaseColumns, ({ columns, base }) => {
        expect(unpackReleaseColumns(packReleaseColumns(columns, base), base)).toEqual(columns);
      }),
      { numRuns: 300 },
    );
  });

  it("P8: every proper prefix is refused by name", () => {
    fc.assert(
      fc.property(anyReleaseColumns, fc.nat(), ({ columns, base }, cut) => {
        const bytes = packReleaseColumns(columns, base);
        const prefix = bytes.subarray(0, cut % bytes.length);
        const refusal = refusalOf(() => unpackReleaseColumns(prefix, base));
        expect(refusal).toBe("Protocol columns.truncated");
      }),
    );
  });

  it("P8: mutated bytes are refused by name, or are legal columns", () => {
    fc.assert(
      fc.property(anyReleaseColumns, anyTampering, ({ columns, base }, changes) => {
        const read = answer(tamper(packReleaseColumns(columns, base), changes), base);
        if (read === null) return;
        expect(read.ids.length).toBeLessThanOrEqual(RELEASE_PATTERNS_MAX);
        expect(read.trends.length).toBeLessThanOrEqual(RELEASE_TRENDS_MAX);
        expect(unpackReleaseColumns(packReleaseColumns(read, base), base)).toEqual(read);
      }),
      { numRuns: 1_000 },
    );
  });

  it("P8: any bytes are refused by name, or are legal columns", () => {
    const base = ["0000000000000001", "a000", "b"];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const read = answer(bytes, base);
        if (read === null) return;
        expect(unpackReleaseColumns(packReleaseColumns(read, base), base)).toEqual(read);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the size of release columns", () => {
  const random = seededRandom(SEED);
  const pull = typicalPull(random, 100);
  const size = (columns: ReleaseColumns, base: readonly string[] = []) =>
    packReleaseColumns(columns, base).length;
  const trends = pull.ids
    .map((id) => ({ id, score: 400 + integerBelow(random, 200) }))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));

  it("a hundred patterns with random ids take at most 9.3 bytes each", () => {
    expect(size(pull)).toBeLessThanOrEqual(930);
  });

  it("of ten, at most 10.5; of two thousand, at most 8.7", () => {
    expect(size(typicalPull(random, 10))).toBeLessThanOrEqual(105);
    expect(size(typicalPull(random, 2_000))).toBeLessThanOrEqual(17_400);
  });

  it("devices that go with the weights cost less", () => {
    const devices = pull.weights.map((weight) => roundCount(weight / (8 + 8 * random.next())));
    expect(size({ ...pull, devices })).toBeLessThanOrEqual(size(pull) - 35);
  });

  it("text ids tell only where they differ from the one before", () => {
    const ids = pull.ids.map((_, index) => `a${String(index).padStart(3, "0")}`);
    expect(size({ ...pull, ids })).toBeLessThanOrEqual(330);
  });

  it("a trend of a pattern in the release costs some ten bits", () => {
    expect(size({ ...pull, trends })).toBeLessThanOrEqual(size(pull) + 105);
  });

  it("a difference names the patterns of its base in a bit or two", () => {
    const third = <Item>(items: readonly Item[]) => items.filter((_, index) => index % 3 === 0);
    const columns = {
      ids: third(pull.ids),
      weights: third(pull.weights),
      devices: third(pull.devices),
      kept: [...third(pull.ids).keys()],
      removals: [],
      trends: [],
    };
    expect(size(columns, pull.ids)).toBeLessThanOrEqual(80);
    const removals = pull.ids.slice(0, 3);
    const nothing = { ids: [], weights: [], devices: [], kept: [], removals, trends: [] };
    expect(size(nothing, pull.ids)).toBeLessThanOrEqual(6);
  });
});

describe("release columns, bit by bit", () => {
  const read = (changed: Partial<typeof SMALL_BITS>, base = BASE) =>
    unpackReleaseColumns(bitText(Object.values({ ...SMALL_BITS, ...changed }).join("\n")), base);

  it("the bytes of a small difference, which never change", () => {
    const bytes = packReleaseColumns(SMALL, BASE);
    expect(bytes).toEqual(bitText(Object.values(SMALL_BITS).join("\n")));
    expect(read({})).toEqual(SMALL);
  });

  it.each([
    ["an index beyond the list", { removals: "01 0000 0001" }, "columns.index"],
    [
      "more ids than a release holds",
      { fresh: `${"0".repeat(8)}1${"0".repeat(11)}` },
      "columns.count",
    ],
    ["a pattern of the base as new", { fresh: `1 001 1 000 000000 01` }, "release.ids"],
    [
      "an id above the last",
      { fresh: `1 010 1 000 111111 01 ${"1".repeat(63)} 1 ${"0".repeat(63)}` },
      "columns.id",
    ],
    [
      "a weight beyond the grid",
      { weights: "111111111 0 1000 1 11111111 1 00000000" },
      "release.weights",
    ],
    ["devices below nothing", { devices: "1 1111011101 0 0000 1 1" }, "release.devices"],
    [
      "a pattern as a trend from elsewhere",
      {
        trends: "00 / 1 000 / 1 001 / 0000 / 00100 / 100110 000001 000001 000001",
      },
      "release.trend-ids",
    ],
    ["a score of 1001", { scores: "1111111111 0 0001 1 1 1 0" }, "release.trend-scores"],
  ])("%s is refused", (_what, changed, reason) => {
    expect(refusalOf(() => read(changed))).toBe(`Protocol ${reason}`);
  });

  it.each([
    ["not ascending", ["0000 1 1", "100111", "0", "100110"]],
    ["not sharing all it can", ["0000 1 010", "100110", "0", "100110 100111"]],
    ["of 16 hexadecimal digits", ["1111 1 000000000001111", "100110".repeat(16), ""]],
  ])("text that is %s is refused", (_what, parts) => {
    const count = parts[2] === "" ? "1 001" : "1 010";
    const fresh = `1 000 ${count} ${parts.join(" ")}`;
    const changed = { removals: "", changed: "", kept: "", fresh };
    expect(refusalOf(() => read(changed, []))).toBe("Protocol columns.id");
  });

  it.each([
    ["weights", { weights: [104, 17] }],
    ["weights", { weights: [104] }],
    ["devices", { devices: [-1, 20] }],
    ["removals", { removals: ["c"] }],
    ["ids", { removals: ["a000"] }],
    ["kept", { kept: [0] }],
    ["trend-ids", { trends: [SMALL.trends[0], SMALL.trends[0]] as ReleaseColumns["trends"] }],
    ["trend-scores", { trends: [{ id: "x", score: 1_001 }] }],
  ])("our own %s out of range are not sent", (field, changed) => {
    const act = () => packReleaseColumns({ ...SMALL, ...changed }, BASE);
    expect(refusalOf(act)).toBe(`Serialization release.${field}`);
  });
});
