/**
 * Golden frames of rendition 1: releases in layers, without a model, so that nothing but the frames
 * is needed to read them.
 * @module
 */

import { partHeader } from "../../src/wire/codec1/release1-body.ts";
import {
  buildLadder1,
  downFrames1,
  encodeFrame,
  encodeTransition,
  type LayerSteps,
  type Position,
  quantiseRelease1,
  type Release1,
} from "../../src/wire/index.ts";
import type { GoldenCase } from "./golden-cases.ts";

const APPLIED: Position = { epoch: 9_000_001, seq: 41 };
const STEPS: LayerSteps = { coarse: 370, fine: 310, level: 400 };

const FIRST = quantiseRelease1(
  {
    version: 1,
    dim: 8,
    patterns: [
      {
        id: "evening-drama",
        weight: 5210,
        devices: 77,
        vector: Int16Array.from([8192, -8192, 4096, -4096, 1000, 0, -1, 16384]),
      },
      {
        id: "00c0ffee00c0ffee",
        weight: 60,
        devices: 50,
        vector: Int16Array.from([5, 0, 0, 0, 0, 0, 0, -635]),
      },
      {
        id: "weekend_kids",
        weight: 900,
        devices: 64,
        vector: Int16Array.from([0, 0, 12700, 0, -100, 0, 0, 0]),
      },
    ],
    trends: [
      { id: "tt0111161", score: 1000 },
      { id: "weekend_kids", score: 412 },
    ],
  },
  null,
  STEPS,
);

const SECOND: Release1 = (() => {
  const news = quantiseRelease1(
    {
      version: 2,
      dim: 8,
      patterns: [
        {
          id: "news",
          weight: 300,
          devices: 51,
          vector: Int16Array.from([4000, 3000, -2000, 1000, 500, -6000, 7000, 80]),
        },
      ],
      trends: [],
    },
    null,
    STEPS,
  );
  const [coffee, drama] = FIRST.patterns;
  const [fresh] = news.patterns;
  if (coffee === undefined || drama === undefined || fresh === undefined) {
    throw new Error("the releases have patterns");
  }
  return {
    ...FIRST,
    version: 2,
    patterns: [coffee, { ...drama, weight: 5632, devices: 80 }, fresh],
    trends: [{ id: "news", score: 998 }],
  };
})();

/** Twelve patterns, each its own direction. */
const LARGE = quantiseRelease1(
  {
    version: 6,
    dim: 20,
    patterns: Array.from({ length: 12 }, (_, index) => ({
      id: `pattern-${index}`,
      weight: 1000 + 64 * index,
      devices: 50 + index,
      vector: Int16Array.from(
        { length: 20 },
        (_, at) => ((at * 37 + index * 101) % 255) * 32 - 4064,
      ),
    })),
    trends: [],
  },
  null,
  { coarse: 340, fine: 280, level: 358 },
);

/** The parts of a transition as frames; those of `budgetBytes`, or whole. */
function parts(
  base: Release1 | null,
  next: Release1,
  applied: Position | null,
  budgetBytes: number,
): Uint8Array[] {
  const { contentHash } = buildLadder1("golden", next, [], null);
  const about = { version: next.version, contentHash, model: next.space };
  const bodies = encodeTransition(base, next, null, budgetBytes);
  return bodies.map((body, index) => {
    const part = bodies.length > 1 ? { n: index + 1, of: bodies.length } : null;
    return encodeFrame(partHeader(about, base?.version ?? 0, applied, part), body);
  });
}

function layered(
  name: string,
  description: string,
  held: string | null,
  input: object,
  frame: () => Uint8Array | undefined,
): GoldenCase {
  const whole = () => {
    const bytes = frame();
    if (bytes === undefined) throw new Error(`assertion failed: no part for ${name}`);
    return bytes;
  };
  return {
    name,
    description,
    compressed: false,
    ...(held === null ? {} : { held }),
    input,
    frame: whole,
  };
}

export const LAYERED_CASES: readonly GoldenCase[] = [
  layered(
    "layers-snapshot",
    "Version 1 in layers, whole in one frame: three patterns, two trends, no model.",
    null,
    { applied: APPLIED, release: FIRST },
    () => parts(null, FIRST, APPLIED, 5120)[0],
  ),
  layered(
    "layers-delta",
    "Version 1 to 2 in layers: one pattern only counts differently, one is new, one goes.",
    "layers-snapshot",
    { applied: APPLIED, release: SECOND },
    () => parts(FIRST, SECOND, APPLIED, 5120)[0],
  ),
  layered(
    "layers-part-1",
    "Version 6 in layers, the first of two frames: all coarse rows, and the first fine ones.",
    null,
    { release: LARGE },
    () => parts(null, LARGE, null, 215)[0],
  ),
  layered(
    "layers-part-2",
    "Version 6 in layers, the second of two frames: the other fine rows.",
    "layers-part-1",
    { release: LARGE },
    () => parts(null, LARGE, null, 215)[1],
  ),
  layered(
    "layers-unchanged",
    "The device is up to date: an empty body that only carries the watermark.",
    "layers-snapshot",
    { applied: APPLIED, release: FIRST },
    () => downFrames1(buildLadder1("golden", FIRST, [], null), { base: 1, applied: APPLIED })[0],
  ),
];
