import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ASSERTIONS } from "../../src/fleet/conformance/index.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(`${ROOT}/docs/conformance.md`, "utf8");
const rows = text
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));

/** Statements of one section, `3.1.2-24` as "3.1.2" and 24, ranges written out. */
function statementsOf(cell: string): string[] {
  return cell.split(", ").flatMap((part) => {
    const [from = "", to = from] = part.split(" … ");
    const section = from.slice(0, from.lastIndexOf("-"));
    const [first, last] = [from, to].map((each) => Number(each.slice(each.lastIndexOf("-") + 1)));
    const count = (last ?? 0) - (first ?? 0) + 1;
    return Array.from({ length: count }, (_, at) => `${section}-${(first ?? 0) + at}`);
  });
}

/** How many normative statements each section of MQTT 3.1.1 has. */
const SECTIONS: Readonly<Record<string, number>> = {
  ...{ "1.5.3": 3, "2.2.2": 2, "2.3.1": 7, "3.1.0": 2, "3.1.2": 24, "3.1.3": 11, "3.1.4": 5 },
  ...{ "3.2.0": 2, "3.2.2": 6, "3.3.1": 12, "3.3.2": 3, "3.3.4": 1, "3.3.5": 2, "3.6.1": 1 },
  ...{ "3.8.1": 1, "3.8.3": 4, "3.8.4": 6, "3.9.3": 2, "3.10.1": 1, "3.10.3": 2, "3.10.4": 6 },
  ...{ "3.12.4": 1, "3.14.1": 1, "3.14.4": 3, "4.1.0": 2, "4.3.1": 1, "4.3.2": 2, "4.3.3": 2 },
  ...{ "4.4.0": 1, "4.5.0": 2, "4.6.0": 6, "4.7.1": 3, "4.7.2": 1, "4.7.3": 4, "4.8.0": 2 },
  ...{ "6.0.0": 4, "7.0.0": 2 },
};

describe("docs/conformance.md", () => {
  it("lists the assertions as they are", () => {
    const listed = rows.filter(([, id = ""]) => /^[CPUSD]\d+$/.test(id));
    expect(listed.map(([, id, must, source]) => ({ id, must, source }))).toEqual(
      ASSERTIONS.map(({ id, must, source }) => ({ id, must, source })),
    );
    expect(new Set(ASSERTIONS.map(({ id }) => id)).size).toBe(ASSERTIONS.length);
  });

  it("has a row for every normative statement of MQTT 3.1.1, once", () => {
    const cells = rows.map(([, first = ""]) => first).filter((cell) => /^\d/.test(cell));
    const expected = Object.entries(SECTIONS).flatMap(([section, count]) =>
      Array.from({ length: count }, (_, at) => `${section}-${at + 1}`),
    );
    expect(cells.flatMap(statementsOf).sort()).toEqual(expected.sort());
  });

  it("names only assertions and tests that there are", () => {
    const shownBy = rows.filter(([, first = ""]) => /^\d/.test(first)).map((row) => row[3] ?? "");
    const known = new Set(ASSERTIONS.map(({ id }) => id));
    for (const cell of shownBy) {
      for (const [id] of cell.matchAll(/\b[CPUSD]\d+\b/g)) expect(known).toContain(id);
      for (const [, file] of cell.matchAll(/`(test\/[^`]+)`/g)) {
        expect([file, existsSync(`${ROOT}/${file}.test.ts`)]).toEqual([file, true]);
      }
      expect(cell).not.toBe("");
    }
  });
});
