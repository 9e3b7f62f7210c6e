import { describe, expect, it } from "vitest";
import { codecGainDb } from "../../src/aggregate/codec-gain.ts";
import { trainModel } from "../../src/aggregate/codec-training.ts";
import { seededRandom } from "../../src/core/index.ts";
import {
  type CodecModel,
  decodeModel,
  encodeModel,
  type GridVector,
} from "../../src/wire/index.ts";
import { reasonOf } from "../support/reason.ts";
import { gaussian, heldModel } from "../wire/codec1/models.ts";
import { drawn, population } from "./embeddings.ts";

const DIM = 32;
const CENTRED = population(DIM, 0);
const fresh = drawn(CENTRED, 4000, 21);

function noise(count: number, deviation: number): GridVector[] {
  const random = seededRandom(5);
  return Array.from({ length: count }, () =>
    Int16Array.from({ length: DIM }, () => Math.round(deviation * gaussian(random))),
  );
}

function trained(samples: readonly GridVector[]): CodecModel {
  return decodeModel(encodeModel(trainModel(samples, 1, DIM)));
}

describe("what a codec model is worth", () => {
  it("is the arithmetic over the geometric mean of the variances that matter", () => {
    const mean = CENTRED.variances.reduce((sum, variance) => sum + variance, 0) / DIM;
    const expected =
      CENTRED.variances.reduce(
        (sum, variance) => sum + 10 * Math.log10(mean / Math.max(variance, mean / 32)),
        0,
      ) / DIM;
    expect(codecGainDb(trained(drawn(CENTRED, 4000, 22)), fresh)).toBeCloseTo(expected, 0);
  });

  it("is nothing where no direction differs from another", () => {
    const gain = codecGainDb(trained(noise(2000, 900)), noise(4000, 900));
    expect(Math.abs(gain)).toBeLessThan(0.1);
  });

  it("grows with the patterns learnt from, and is never below nothing for a few", () => {
    const gains = [16, 40, 200, 4000].map((count) =>
      codecGainDb(trained(drawn(CENTRED, count, 23)), fresh),
    );
    expect(gains[0]).toBeGreaterThan(0);
    for (const [at, gain] of gains.entries()) {
      if (at > 0) expect(gain).toBeGreaterThan(gains[at - 1] as number);
    }
  });

  it("counts a mean that all patterns share", () => {
    const shifted = population(DIM, 0.6);
    const model = trained(drawn(shifted, 4000, 24));
    const withMean = codecGainDb(model, drawn(shifted, 1000, 25));
    const without = codecGainDb({ ...model, mean: new Int16Array(DIM) }, drawn(shifted, 1000, 25));
    expect(withMean).toBeGreaterThan(without + 2);
  });

  it("is a loss when the model is of something else", () => {
    const right = trained(drawn(CENTRED, 1000, 26));
    const upsideDown = { ...right, spectrum: right.spectrum.slice().reverse() };
    expect(codecGainDb(upsideDown, fresh)).toBeLessThan(-1);
    expect(codecGainDb(heldModel(DIM), fresh)).toBeLessThan(codecGainDb(right, fresh) - 2);
  });

  it("is at most 15 dB, and nothing on patterns of zeros", () => {
    const same = new Array<GridVector>(20).fill(new Int16Array(DIM).fill(2000));
    const gain = codecGainDb(trained(same), same);
    expect(gain).toBeGreaterThan(15);
    expect(gain).toBeLessThan(15.1);
    expect(codecGainDb(trained(same), [new Int16Array(DIM)])).toBe(0);
  });

  it("cannot be told from no patterns", () => {
    expect(reasonOf(() => codecGainDb(heldModel(DIM), []))).toBe("model.samples");
  });
});
