import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  entropyModelOf,
  ROW_SHIFTS,
  ROW_STARTS,
  ROWS,
  SYMBOLS,
} from "../../../src/wire/codec1/entropy.ts";

/** What PROTOCOL.md hands to other languages. */
const published = JSON.parse(
  readFileSync(new URL("../../../src/wire/codec1-tables.json", import.meta.url), "utf8"),
);

describe("the entropy tables", () => {
  it.each([8, 64] as const)("of %i states are those that the protocol publishes", (states) => {
    const { means, starts, shifts } = entropyModelOf(states);
    const rows = Array.from({ length: ROWS }, (_, row) => row);
    const startsOf = (row: number) => [...starts.slice(row * ROW_STARTS, (row + 1) * ROW_STARTS)];
    expect(published[states]).toEqual({
      means: [...means],
      shares: rows.map((row) => {
        const from = startsOf(row);
        return from.slice(1).map((end, symbol) => end - (from[symbol] as number));
      }),
      shifts: rows.map((row) => [...shifts.slice(row * ROW_SHIFTS + 1, (row + 1) * ROW_SHIFTS)]),
    });
    expect(published[states].shares[0]).toHaveLength(SYMBOLS);
  });
});
