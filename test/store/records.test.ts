import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeStoredModel, encodeStoredModel } from "../../src/store/model-records.ts";
import {
  decodeCursor,
  decodeDeadLetter,
  encodeCursor,
  encodeDeadLetter,
} from "../../src/store/records.ts";
import {
  decodeLadder,
  decodeRelease,
  encodeLadder,
  encodeRelease,
} from "../../src/store/release-records.ts";
import { hex, reasonOf } from "../support/reason.ts";
import { recordProperties } from "./record-properties.ts";
import { ALL_BYTES, bytes, cursorOf, keyOn, letterOf, releaseOf } from "./samples.ts";

const natural = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 300 }),
  fc.constant(Number.MAX_SAFE_INTEGER),
);
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const blob = fc.uint8Array({ maxLength: 40 });
const position = fc.option(fc.record({ epoch: natural, seq: natural }), { nil: null });
const problem = fc.record(
  { reason: text, title: text, detail: text, position },
  { requiredKeys: ["reason", "title", "position"] },
);
const cursor = fc.record({
  epochs: fc
    .uniqueArray(
      natural.filter((epoch) => epoch > 0),
      { maxLength: 4 },
    )
    .chain((epochs) =>
      fc.tuple(
        ...epochs
          .sort((a, b) => a - b)
          .map((epoch) =>
            fc.record({
              epoch: fc.constant(epoch),
              low: natural,
              ahead: fc.uint8Array({ minLength: 32, maxLength: 32 }),
            }),
          ),
      ),
    ),
  base: natural,
  patterns: natural,
  problems: fc.array(problem, { maxLength: 8 }),
});
const letter = fc.record({
  id: text,
  key: fc.record({ tenant: text, device: text }),
  position,
  reason: text,
  detail: text,
  receivedAtMs: natural,
  frame: blob,
});
const release = fc.integer({ min: 1, max: 12 }).chain((dim) =>
  fc.record({
    version: natural,
    dim: fc.constant(dim),
    patterns: fc.array(
      fc.record({
        id: text,
        weight: natural,
        devices: natural,
        vector: fc.int16Array({ minLength: dim, maxLength: dim }),
      }),
      { maxLength: 5 },
    ),
    trends: fc.array(fc.record({ id: text, score: natural }), { maxLength: 5 }),
  }),
);
const body = fc.record({ compressed: fc.boolean(), bytes: blob });
const ladder = fc.record({
  tenant: text,
  version: natural,
  contentHash: blob,
  codec: natural,
  snapshot: body,
  deltas: fc
    .uniqueArray(fc.tuple(natural, body), { selector: ([base]) => base, maxLength: 5 })
    .map((entries) => new Map(entries)),
});

const model = fc.record({
  version: natural,
  samples: natural,
  learntAtMs: natural,
  bytes: blob,
});

recordProperties("cursor", cursor, encodeCursor, decodeCursor);
recordProperties("dead letter", letter, encodeDeadLetter, decodeDeadLetter);
recordProperties("release", release, encodeRelease, decodeRelease);
recordProperties("ladder", ladder, encodeLadder, decodeLadder);
recordProperties("codec model", model, encodeStoredModel, decodeStoredModel);

test("record: a stored cursor of version 1 is read for ever", () => {
  const ahead = Uint8Array.from({ length: 32 }, (_, index) => index);
  const golden = `01 01 ac02 8101 ${Buffer.from(ahead).toString("hex")} 07 03 01 03 0161 0162 0163 02 7f`;
  const problems = [{ reason: "a", title: "b", detail: "c", position: { epoch: 2, seq: 127 } }];
  const stored = { epochs: [{ epoch: 300, low: 129, ahead }], base: 7, patterns: 3, problems };
  expect(Buffer.from(encodeCursor(stored))).toEqual(Buffer.from(hex(golden)));
  expect(decodeCursor(hex(golden))).toEqual(stored);
});

test("record: a stored dead letter of version 1 is read for ever", () => {
  const golden = "01 0169 0174 0164 02 01 07 0172 00 80d095ffbc31 03 00ff0d";
  const stored = {
    id: "i",
    key: { tenant: "t", device: "d" },
    position: { epoch: 1, seq: 7 },
    reason: "r",
    detail: "",
    receivedAtMs: 1_700_000_000_000,
    frame: bytes(0, 255, 13),
  };
  expect(Buffer.from(encodeDeadLetter(stored)).toString("hex")).toBe(golden.replaceAll(" ", ""));
  expect(decodeDeadLetter(hex(golden))).toEqual(stored);
});

test("record: a stored release and ladder of version 1 are read for ever", () => {
  const { ladder: rungs } = releaseOf(2);
  const small = {
    version: 2,
    dim: 2,
    patterns: [{ id: "p", weight: 128, devices: 50, vector: Int16Array.of(-1, 16384) }],
    trends: [{ id: "f", score: 1000 }],
  };
  const release = "01 02 02 01 0170 8001 32 ffff 0040 01 0166 e807";
  expect(Buffer.from(encodeRelease(small)).toString("hex")).toBe(release.replaceAll(" ", ""));
  expect(decodeRelease(hex(release))).toEqual(small);
  const all = Buffer.from(ALL_BYTES).toString("hex");
  const golden = `01 04 61636d65 02 08 00ff0a0d02000708 00 00 8002 ${all} 01 01 01 03 010002`;
  expect(Buffer.from(encodeLadder(rungs)).toString("hex")).toBe(golden.replaceAll(" ", ""));
  expect(decodeLadder(hex(golden))).toEqual(rungs);
});

test("record: a stored codec model of version 1 is read for ever", () => {
  const golden = "01 02 d00f 80d095ffbc31 03 00ff0d";
  const stored = {
    version: 2,
    samples: 2_000,
    learntAtMs: 1_700_000_000_000,
    bytes: bytes(0, 255, 13),
  };
  expect(Buffer.from(encodeStoredModel(stored)).toString("hex")).toBe(golden.replaceAll(" ", ""));
  expect(decodeStoredModel(hex(golden))).toEqual(stored);
});

test("record: numbers that are no counts are not written", () => {
  for (const low of [-1, 0.5, Number.NaN, 2 ** 53]) {
    expect(reasonOf(() => encodeCursor(cursorOf(low)))).toBe("record.integer");
  }
  const letterAt = { ...letterOf(keyOn(0), "a"), receivedAtMs: -1 };
  expect(reasonOf(() => encodeDeadLetter(letterAt))).toBe("record.integer");
});

test("record: lying counts cost nothing", () => {
  // 2^53 − 1 epochs, then nothing.
  expect(reasonOf(() => decodeCursor(hex("01 ffffffffffffff0f")))).toBe("record.count");
  expect(reasonOf(() => decodeCursor(hex("01 ffffffffffffff7f")))).toBe("record.varint");
  expect(reasonOf(() => decodeRelease(hex("01 01 ffffffffffffff0f 01")))).toBe("record.count");
  expect(reasonOf(() => decodeCursor(hex("01 8000")))).toBe("record.varint");
});
