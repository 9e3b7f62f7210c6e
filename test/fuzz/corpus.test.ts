import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { keptInputs } from "../../fuzz/corpus.ts";
import { randomOf, type Target } from "../../fuzz/target.ts";
import { PURE_TARGETS, pureTarget } from "../../fuzz/targets.ts";
import { tryInput } from "../../fuzz/try-input.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const INPUTS = 2_000;
const SEED = 20_261_126;

describe.each(PURE_TARGETS)("P8: fuzz target %s", (name) => {
  it("every kept input is read or refused by name, and quickly", async () => {
    const target = await pureTarget(name, ROOT);
    for (const { name: input, bytes } of keptInputs(ROOT, name)) {
      const { isFinding, outcome } = tryInput(target, bytes);
      expect([input, isFinding ? outcome : "no finding"]).toEqual([input, "no finding"]);
    }
  });

  it(`so are ${INPUTS} made ones, which end in many ways`, async () => {
    const target = await pureTarget(name, ROOT);
    const outcomes = new Set<string>();
    for (let index = 0; index < INPUTS; index += 1) {
      const trial = tryInput(target, target.make(randomOf(SEED, index)));
      expect(trial.isFinding ? `${index}: ${trial.outcome}` : "no finding").toBe("no finding");
      outcomes.add(trial.outcome);
    }
    expect(outcomes.size).toBeGreaterThan(5);
    expect(outcomes).toContain("read");
  });

  it("an input can be made again without those before it", async () => {
    const target = await pureTarget(name, ROOT);
    const again = (index: number) =>
      Buffer.from(target.make(randomOf(SEED, index))).toString("hex");
    const all = Array.from({ length: 20 }, (_, index) => again(index));
    expect(again(13)).toBe(all[13]);
    expect(new Set(all).size).toBeGreaterThan(15);
  });
});

describe("what counts as a finding", () => {
  const targetOf = (run: () => string): Target => ({
    name: "x",
    make: () => new Uint8Array(1),
    run,
  });

  it("an error that is not a typed refusal", () => {
    const target = targetOf(() => {
      throw new TypeError("undefined is not a function");
    });
    expect(tryInput(target, new Uint8Array(1))).toMatchObject({ isFinding: true });
  });

  it("an input that is slow every time, but not one that was slow once", () => {
    let runs = 0;
    const burn = (ms: number) => {
      const endsAtMs = performance.now() + ms;
      while (performance.now() < endsAtMs);
      return "read";
    };
    const slow = tryInput(
      targetOf(() => burn(60)),
      new Uint8Array(1),
    );
    expect(slow.isFinding).toBe(true);
    runs = 0;
    const once = tryInput(
      targetOf(() => {
        runs += 1;
        return runs === 1 ? burn(60) : "read";
      }),
      new Uint8Array(1),
    );
    expect(once).toMatchObject({ isFinding: false, outcome: "read" });
  });
});
