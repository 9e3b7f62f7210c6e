import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TRELLISES } from "../../../src/wire/codec1/trellis.ts";

const text = readFileSync(new URL("../../../src/wire/PROTOCOL.md", import.meta.url), "utf8");

function nextStates(states: 8 | 64, parity: number): number[] {
  return Array.from(
    { length: states },
    (_, state) => TRELLISES[states].next[2 * state + parity] as number,
  );
}

/** The numbers of the lines that `line` finds, in order. */
function listed(line: RegExp): number[] {
  return [...text.matchAll(line)].flatMap(([, row]) => (row ?? "").match(/\d+/g) ?? []).map(Number);
}

describe("codec 1: trellises", () => {
  it.each([
    ["even", 0],
    ["odd", 1],
  ] as const)("PROTOCOL.md lists the states after %s indices", (name, parity) => {
    expect(listed(new RegExp(`^\\| ${name} +\\|([ |\\d]+)$`, "gm"))).toEqual(nextStates(8, parity));
    const rows = new RegExp(`^(?:states [ \\d]+–\\d+| +) ${name} +([ \\d]+)$`, "gm");
    expect(listed(rows)).toEqual(nextStates(64, parity));
  });
});
