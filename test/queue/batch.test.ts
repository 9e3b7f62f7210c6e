import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OmegaError, ProtocolError, SerializationError } from "../../src/core/index.ts";
import { batchBytes, requireEntry, splitBatch } from "../../src/queue/batch.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  decodeBatch,
  ENTRY_FRAME_BYTES_MAX,
  encodeBatch,
  type QueueEntry,
} from "../../src/queue/index.ts";

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const entry: fc.Arbitrary<QueueEntry> = fc.record({
  key: fc.record({ tenant: id, device: id }),
  receivedAtMs: fc.nat({ max: 2 ** 48 - 1 }),
  frame: fc.uint8Array({ maxLength: 300 }),
});
const plain = (entries: readonly QueueEntry[]) =>
  entries.map(({ frame, ...rest }) => ({ ...rest, frame: [...frame] }));

describe("batch", () => {
  test("what is encoded decodes to the same entries", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
        const bytes = encodeBatch(entries);
        expect(bytes.byteLength).toBe(batchBytes(entries));
        expect(plain(decodeBatch(bytes))).toEqual(plain(entries));
      }),
    );
  });

  test("retried entries stay marked, among others too; without one the bytes are version 1", () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 9 }), (entries) => {
        const marked = entries.map((each, at) =>
          at % 3 === 0 ? { ...each, retried: true as const } : each,
        );
        const bytes = encodeBatch(marked);
        expect(bytes[1]).toBe(2);
        expect(plain(decodeBatch(bytes))).toEqual(plain(marked));
        expect(encodeBatch(entries)[1]).toBe(1);
      }),
    );
  });

  test("every truncation and every added byte is refused with a typed error", () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 4 }), fc.nat(), (entries, cut) => {
        const bytes = encodeBatch(entries);
        expect(() => decodeBatch(bytes.subarray(0, cut % bytes.length))).toThrow(ProtocolError);
        expect(() => decodeBatch(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(ProtocolError);
      }),
    );
  });

  test("arbitrary bytes give entries or a typed error, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, prefixed) => {
        const bytes = prefixed ? Buffer.from([0x51, 1, ...noise]) : noise;
        try {
          decodeBatch(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(OmegaError);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("golden bytes of version 1", () => {
    const bytes = encodeBatch([
      { key: { tenant: "t", device: "tv" }, receivedAtMs: 258, frame: Uint8Array.of(0xce, 1) },
    ]);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "5101" + "00000001" + "0174" + "027476" + "000000000102" + "00000002" + "ce01",
    );
  });

  test("ids that are not ids, times and frames out of range are refused before they are queued", () => {
    const good: QueueEntry = {
      key: { tenant: "t", device: "d" },
      receivedAtMs: 1,
      frame: new Uint8Array(1),
    };
    const reasonOf = (bad: QueueEntry) => {
      try {
        requireEntry(bad);
        return null;
      } catch (error) {
        return error instanceof SerializationError ? error.reason : error;
      }
    };
    expect(reasonOf(good)).toBeNull();
    for (const device of ["", "a:b", "ä", "a/b", "x".repeat(65), "\0", "a b"]) {
      expect(reasonOf({ ...good, key: { tenant: "t", device } })).toBe("batch.id");
    }
    for (const receivedAtMs of [-1, 0.5, Number.NaN, 2 ** 48]) {
      expect(reasonOf({ ...good, receivedAtMs })).toBe("batch.time");
    }
    expect(reasonOf({ ...good, frame: new Uint8Array(ENTRY_FRAME_BYTES_MAX + 1) })).toBe(
      "batch.frame",
    );
  });

  test("splitting keeps order and every part fits one job", () => {
    const big = (bytes: number, index: number): QueueEntry => ({
      key: { tenant: "t", device: `d${index}` },
      receivedAtMs: index,
      frame: new Uint8Array(bytes),
    });
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 16_000 }), { maxLength: 400 }), (sizes) => {
        const entries = sizes.map(big);
        const parts = splitBatch(entries);
        expect(parts.flat()).toEqual(entries);
        for (const part of parts) expect(batchBytes(part)).toBeLessThanOrEqual(BATCH_BYTES_MAX);
      }),
      { numRuns: 20 },
    );
    const many = Array.from({ length: 2 * BATCH_ENTRIES_MAX + 1 }, (_, index) => big(1, index));
    expect(splitBatch(many).map((part) => part.length)).toEqual([
      BATCH_ENTRIES_MAX,
      BATCH_ENTRIES_MAX,
      1,
    ]);
  });
});
