import { describe, expect, it } from "vitest";
import { makeFramePool } from "../../../src/fleet/load/frame-pool.ts";
import { COUNTER_MAX, decodeDelta, loadZstd, peekFrame } from "../../../src/wire/index.ts";

const zstd = await loadZstd();
const OPTIONS = { dim: 384, patterns: 10, frameBytes: 1_024, seed: 3, nowS: 1_800_000_000 };

describe("load frames", () => {
  it("are deltas as the aggregator reads them, of their device, seq and base, within the budget", async () => {
    const pool = await makeFramePool(OPTIONS);
    for (const [device, epoch, seq, base] of [
      [0, 1, 1, 0],
      [41, 1_800_000_000_000, 300, 7],
      [5, COUNTER_MAX, COUNTER_MAX, COUNTER_MAX],
    ] as const) {
      const frame = pool.frame(device, epoch, seq, base);
      expect(frame.length).toBeLessThanOrEqual(OPTIONS.frameBytes);
      const context = { models: { get: () => null }, sender: `default/fleet-${device}` };
      const delta = decodeDelta(peekFrame(frame, frame.length), zstd, context);
      expect(delta.header).toEqual({ kind: "delta", minor: 1, epoch, seq, base, codec: 1 });
      expect(delta).toMatchObject({ dim: 384, mode: "tracking", removals: [] });
      expect(delta.upserts).toHaveLength(10);
      expect(new Set(delta.upserts.map(({ mode }) => mode))).toEqual(new Set(["absolute"]));
    }
  });

  it("use the budget they are given: a kilobyte is what a TV sends", async () => {
    const pool = await makeFramePool(OPTIONS);
    expect(pool.frame(0, 1, 1, 0).length).toBeGreaterThan(900);
  });

  it("the same seed gives the same frames, another seed others", async () => {
    const [one, two, other] = await Promise.all([
      makeFramePool(OPTIONS),
      makeFramePool(OPTIONS),
      makeFramePool({ ...OPTIONS, seed: 4 }),
    ]);
    expect(one.frame(1, 2, 3, 4)).toEqual(two.frame(1, 2, 3, 4));
    expect(one.frame(1, 2, 3, 4)).not.toEqual(other.frame(1, 2, 3, 4));
  });

  it("more patterns than fit are refused, and the message says what to change", async () => {
    await expect(makeFramePool({ ...OPTIONS, patterns: 100, frameBytes: 300 })).rejects.toThrow(
      /100 patterns of 384 numbers do not fit in 300 bytes: lower --patterns/,
    );
  });
});
