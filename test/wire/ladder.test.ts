import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits, seededRandom } from "../../src/core/index.ts";
import {
  buildLadder,
  codec0,
  decodeRelease,
  downFrame,
  emptyLadder,
  encodeReleaseDelta,
  loadZstd,
  peekFrame,
  quantiseRelease,
  type Release,
  toGrid,
} from "../../src/wire/index.ts";
import { refusalOf } from "../support/reason.ts";
import { anyPosition } from "./arbitraries.ts";

const zstd = await loadZstd();
const DOWN = limits.DOWN_FRAME_BYTES_MAX;

function receive(frame: Uint8Array, held: Release | null): Release {
  return decodeRelease(peekFrame(frame, DOWN), held, zstd);
}

describe("the ladder", () => {
  const random = seededRandom(5);
  const releaseOf = (version: number, count: number, changed = 0): Release =>
    quantiseRelease(
      {
        version,
        dim: 64,
        patterns: Array.from({ length: count }, (_, index) => ({
          id: `p${String(index).padStart(4, "0")}`,
          weight: 100 + (index < changed ? 1 : 0),
          devices: 50,
          vector: toGrid(Array.from({ length: 64 }, (_, at) => Math.sin(index * 64 + at))),
        })),
        trends: [],
      },
      codec0,
    );

  it("gives each device the smallest thing that helps it, with its own watermark (P6)", () => {
    const old = releaseOf(3, 40);
    const next = releaseOf(4, 40, 5);
    const ladder = buildLadder("acme", next, [old], codec0, zstd);
    fc.assert(
      fc.property(fc.option(anyPosition, { nil: null }), (applied) => {
        const frames = [0, 1, 3, 4, 9].map((base) => downFrame(ladder, { base, applied }));
        const headers = frames.map((frame) => peekFrame(frame, DOWN).header);
        expect(headers.map((header) => header.kind)).toEqual([
          "snapshot",
          "snapshot",
          "release-delta",
          "release-delta",
          "snapshot",
        ]);
        for (const header of headers) expect(header).toMatchObject({ version: 4, applied });
        const [, , delta, same] = frames as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
        expect(delta.length).toBeLessThan(200);
        expect(same.length).toBeLessThan(60);
        expect(receive(delta, old)).toEqual(next);
        expect(receive(same, next)).toEqual(next);
      }),
      { numRuns: 20 },
    );
  });

  it("kept vectors are not sent again when only weights moved", () => {
    const body = encodeReleaseDelta(releaseOf(3, 40), releaseOf(4, 40, 5), codec0);
    expect(body.length).toBeLessThan(5 * 64);
  });

  it("before the first release a device gets version 0, empty", () => {
    const ladder = emptyLadder("acme", 384, zstd);
    const frame = downFrame(ladder, { base: 0, applied: { epoch: 7, seq: 0 } });
    expect(receive(frame, null)).toEqual({ version: 0, dim: 384, patterns: [], trends: [] });
    expect(frame.length).toBeLessThan(50);
  });

  it("a base of another dimension is no rung", () => {
    const base: Release = { version: 3, dim: 8, patterns: [], trends: [] };
    const ladder = buildLadder("acme", releaseOf(4, 3), [base], codec0, zstd);
    expect([...ladder.deltas.keys()]).toEqual([]);
  });

  it("P7: a release that does not fit a down frame is not published", () => {
    const large = quantiseRelease(
      {
        version: 1,
        dim: 384,
        patterns: Array.from({ length: 180 }, (_, index) => ({
          id: `p${index}`,
          weight: 1,
          devices: 50,
          vector: toGrid(Array.from({ length: 384 }, () => random.next() - 0.5)),
        })),
        trends: [],
      },
      codec0,
    );
    const build = (release: Release) => buildLadder("acme", release, [], codec0, zstd);
    expect(refusalOf(() => build(large))).toBe("Serialization frame.budget");
    const fitting = build({ ...large, patterns: large.patterns.slice(0, 150) });
    expect(downFrame(fitting, { base: 0, applied: null }).length).toBeLessThanOrEqual(DOWN);
  });
});
