import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeLadder, encodeRelease } from "../../src/store/release-records.ts";
import {
  decodeLadders,
  decodeRecent,
  encodeLadders,
  encodeRecent,
} from "../../src/store/rendition-records.ts";
import { hex, reasonOf } from "../support/reason.ts";
import { recordProperties } from "./record-properties.ts";
import { laddersOf, recentOf, releaseOf } from "./samples.ts";

const natural = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 300 }));
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const blob = fc.uint8Array({ maxLength: 40 });
const plain = releaseOf(2);

const release1 = fc.integer({ min: 1, max: 12 }).chain((width) => {
  const layer = fc.int16Array({ minLength: width, maxLength: width });
  return fc.record({
    version: natural,
    dim: natural,
    space: natural,
    steps: fc.record({
      coarse: natural,
      fine: natural,
      level: fc.integer({ min: -1023, max: 1023 }),
    }),
    patterns: fc.array(
      fc.record({ id: text, weight: natural, devices: natural, layers: fc.tuple(layer, layer) }),
      { maxLength: 5 },
    ),
    trends: fc.array(fc.record({ id: text, score: natural }), { maxLength: 5 }),
  });
});
const parts = fc.array(fc.record({ compressed: fc.constant(false), bytes: blob }), {
  maxLength: 4,
});
const ladder1 = fc.record({
  tenant: text,
  version: natural,
  contentHash: blob,
  model: natural,
  snapshot: parts,
  deltas: fc
    .uniqueArray(fc.tuple(natural, parts), { selector: ([base]) => base, maxLength: 5 })
    .map((entries) => new Map(entries)),
});

recordProperties(
  "release in both renditions",
  release1.map((release) => ({ release: plain.release, release1: release })),
  ({ release, release1 }) => {
    const rendition1 = release1 && { release: release1, ladder: plain.rendition1.ladder };
    return encodeRecent({ release, ladder: plain.ladder, rendition1 });
  },
  decodeRecent,
  2,
);
recordProperties(
  "ladder of both renditions",
  ladder1.map((ladder) => ({ ladder: plain.ladder, ladder1: ladder })),
  ({ ladder, ladder1 }) => {
    const rendition1 = ladder1 && { release: plain.rendition1.release, ladder: ladder1 };
    return encodeLadders({ release: plain.release, ladder, rendition1 });
  },
  decodeLadders,
  2,
);

test("record: what was written before there were two renditions is read as it was meant", () => {
  const old = { ...plain, rendition1: null };
  expect(encodeLadders(old)).toEqual(encodeLadder(old.ladder));
  expect(encodeRecent(old)).toEqual(encodeRelease(old.release));
  expect(decodeLadders(encodeLadder(old.ladder))).toEqual(laddersOf(old));
  expect(decodeRecent(encodeRelease(old.release))).toEqual(recentOf(old));
});

test("record: a release of version 2 is read for ever", () => {
  const release = { version: 2, dim: 2, patterns: [], trends: [] };
  const release1 = {
    version: 2,
    dim: 2,
    space: 7,
    steps: { coarse: 300, fine: 3, level: -40 },
    patterns: [
      {
        id: "p",
        weight: 128,
        devices: 50,
        layers: [Int16Array.of(-1, 64), Int16Array.of(0, -32_768)] as const,
      },
    ],
    trends: [{ id: "f", score: 1000 }],
  };
  const golden =
    "02 05 0102020000 01 02 02 07 ac02 03 4f 02 01 0170 8001 32 01 8001 00 ffff03 01 0166 e807";
  const stored = { ...plain, release, rendition1: { ...plain.rendition1, release: release1 } };
  expect(Buffer.from(encodeRecent(stored)).toString("hex")).toBe(golden.replaceAll(" ", ""));
  expect(decodeRecent(hex(golden))).toEqual({ release, release1 });
});

test("record: rows of unequal width and parts that are compressed are not written", () => {
  const { rendition1 } = plain;
  const [pattern] = rendition1.release.patterns;
  if (pattern === undefined) throw new Error("the sample has a pattern");
  const layers = [pattern.layers[0], new Int16Array(3)] as const;
  const release = { ...rendition1.release, patterns: [{ ...pattern, layers }] };
  expect(reasonOf(() => encodeRecent({ ...plain, rendition1: { ...rendition1, release } }))).toBe(
    "record.dimension",
  );
  const snapshot = [{ compressed: true, bytes: Uint8Array.of(1) }];
  const ladder = { ...rendition1.ladder, snapshot };
  expect(reasonOf(() => encodeLadders({ ...plain, rendition1: { ...rendition1, ladder } }))).toBe(
    "record.flags",
  );
});
