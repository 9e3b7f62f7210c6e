import { describe, expect, it } from "vitest";
import {
  DEFAULT_MODEL_POLICY,
  droppable,
  isBetter,
  isPromising,
  isRipe,
  lacks,
} from "../../src/aggregate/model-policy.ts";
import { ModelSample } from "../../src/aggregate/model-sample.ts";
import type { Register } from "../../src/aggregate/register.ts";
import { seededRandom } from "../../src/core/index.ts";
import { vectorOf } from "./frames.ts";

const DAY = 86_400_000;
const POLICY = { ...DEFAULT_MODEL_POLICY, minSamples: 100, minDevices: 5, minAgeMs: DAY };
const model = (version: number, samples = 200, learntAtMs = 10 * DAY) => {
  return { version, samples, learntAtMs };
};

describe("model policy", () => {
  it("the first model wants enough vectors, two per dimension, of enough devices", () => {
    const sample = (offered: number, devices: number) => ({ offered, devices });
    expect(lacks(sample(100, 5), 8, POLICY)).toBeNull();
    expect(lacks(sample(99, 5), 8, POLICY)).toBe("samples");
    expect(lacks(sample(1_000, 4), 8, POLICY)).toBe("devices");
    expect(lacks(sample(767, 60), 384, POLICY)).toBe("samples");
    expect(lacks(sample(768, 60), 384, POLICY)).toBeNull();
  });

  it("another is thought of when there is twice as much, and not before its time", () => {
    expect(isRipe(null, POLICY, 0)).toBe(true);
    expect(isRipe(model(1), POLICY, 11 * DAY - 1)).toBe(false);
    expect(isRipe(model(1), POLICY, 11 * DAY)).toBe(true);
    expect(isPromising(399, model(1), null, POLICY, 12 * DAY)).toBe(false);
    expect(isPromising(400, model(1), null, POLICY, 12 * DAY)).toBe(true);
    expect(isPromising(7, null, null, POLICY, 0)).toBe(true);
  });

  it("after a long time a model is judged again, however little has come since", () => {
    expect(isPromising(200, model(1), null, POLICY, 17 * DAY - 1)).toBe(false);
    expect(isPromising(200, model(1), null, POLICY, 17 * DAY)).toBe(true);
  });

  it("what was learnt in vain is not learnt again for as long as a model would stay", () => {
    const last = { samples: 500, atMs: 12 * DAY };
    expect(isPromising(900, model(1), last, POLICY, 13 * DAY)).toBe(false);
    expect(isPromising(1_000, model(1), last, POLICY, 13 * DAY)).toBe(true);
    expect(isPromising(900, null, last, POLICY, 13 * DAY)).toBe(false);
    expect(isPromising(900, model(1), last, POLICY, 19 * DAY)).toBe(true);
  });

  it("three tenths of a decibel over the model in use are better, or over none at all", () => {
    expect([isBetter(0.29, null), isBetter(0.3, null)]).toEqual([false, true]);
    expect([isBetter(4.2, 4), isBetter(4.4, 4)]).toEqual([false, true]);
    // A model in use that does harm is no reason to publish one that does no good.
    expect(isBetter(0.1, -3)).toBe(false);
  });

  it("the newest two stay, and whatever sums are in", () => {
    const kept = [5, 4, 3, 2, 1].map((version) => ({ version }));
    expect(droppable(kept, new Set([0, 2]))).toEqual([3, 1]);
    expect(droppable(kept.slice(0, 2), new Set())).toEqual([]);
    expect(droppable([], new Set())).toEqual([]);
  });
});

const live = (seed: number, space = 0): Register => ({
  kind: "live",
  ...{ epoch: 1, seq: 1, bucket: 1, weight: 1, successPermille: 1, samples: 1, updatedAtS: 1 },
  space,
  vector: vectorOf(seed),
});
const tombstone: Register = { kind: "tombstone", epoch: 1, seq: 1, bucket: 1 };

describe("model sample", () => {
  it("takes live registers with their space, and no more than sixteen of one device", () => {
    const sample = new ModelSample(1_000, seededRandom(1));
    sample.offer([live(1, 3), null, tombstone, live(2)]);
    sample.offer(Array.from({ length: 500 }, (_, index) => live(index + 10)));
    sample.offer([null, tombstone]);
    expect([sample.devices, sample.offered, sample.vectors.length]).toEqual([2, 18, 18]);
    expect(sample.vectors[0]).toEqual({ space: 3, vector: vectorOf(1) });
  });

  it("is bounded, and every vector offered has the same chance", () => {
    const counts = new Array<number>(40).fill(0);
    for (let round = 0; round < 400; round += 1) {
      const sample = new ModelSample(10, seededRandom(round + 1));
      for (let device = 0; device < 40; device += 1) sample.offer([live(1, device)]);
      expect(sample.vectors.length).toBe(10);
      for (const { space } of sample.vectors) counts[space] = (counts[space] ?? 0) + 1;
    }
    // 100 each is expected; five standard deviations are 43.
    expect(Math.min(...counts)).toBeGreaterThan(57);
    expect(Math.max(...counts)).toBeLessThan(143);
  });
});
