import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { requireStep, STEP_INDEX_MAX, stepOf } from "../../../src/wire/codec1/step.ts";
import { reasonOf } from "../../support/reason.ts";

describe("codec 1: steps", () => {
  it("step 0 is one grid step, and 32 more are an octave, exactly", () => {
    expect(stepOf(0)).toBe(1);
    for (let index = 32; index <= STEP_INDEX_MAX; index += 1) {
      expect(stepOf(index)).toBe(2 * stepOf(index - 32));
    }
  });

  it("a step is within 2^-24 of its power of two", () => {
    for (let index = 0; index < 32; index += 1) {
      expect(Math.abs(stepOf(index) - 2 ** (index / 32))).toBeLessThan(2 ** -24);
    }
  });

  it("PROTOCOL.md lists the 32 fractional powers", () => {
    const text = readFileSync(new URL("../../../src/wire/PROTOCOL.md", import.meta.url), "utf8");
    const mantissas = Array.from({ length: 32 }, (_, index) => stepOf(index) * 2 ** 24);
    expect(text.replaceAll(/\s+/g, " ")).toContain(` ${mantissas.join(" ")} `);
  });

  it("an index that does not exist is the peer's fault when read, ours when computed", () => {
    expect(requireStep(1023)).toBe(1023);
    expect(reasonOf(() => requireStep(1024))).toBe("codec.step");
    expect(() => stepOf(1024)).toThrow("assertion failed");
  });
});
