import { describe, expect, it } from "vitest";
import { parseOptions } from "../../bench/hostile/options.ts";

describe("bench: hostile", () => {
  it("bench: attacks are chosen by name, and a wrong name is told the right ones", () => {
    const all = ["declared", "silent", "frozen", "filters", "mixed"];
    expect(parseOptions([])).toEqual({ json: false, scenarios: all });
    expect(parseOptions(["--only", "mixed,silent", "--json"]).scenarios).toEqual([
      "mixed",
      "silent",
    ]);
    expect(() => parseOptions(["--only", "typo"])).toThrow(/declared, silent, frozen/);
  });
});
