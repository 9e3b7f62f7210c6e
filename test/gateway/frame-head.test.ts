import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FrameHead, headOf, usualHead } from "../../gateway/frame-head.ts";
import { limits } from "../../src/core/index.ts";
import { encodeFrame, type FrameHeader, peekFrame } from "../../src/wire/index.ts";

const COUNTER_MAX = 2 ** 48 - 1;

/** Small, at the edges of every CBOR width, and anything. */
const counter = (min: number) =>
  fc.oneof(
    fc.constantFrom(1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, COUNTER_MAX),
    fc.integer({ min, max: COUNTER_MAX }),
  );
const minor = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined });
const trace = fc.option(fc.uint8Array({ minLength: 1, maxLength: 16 }), { nil: undefined });

/** Without the fields that are not there. */
function present<T extends object>(header: T): T {
  return Object.fromEntries(Object.entries(header).filter(([, value]) => value !== undefined)) as T;
}

const delta = fc
  .record({
    kind: fc.constant("delta" as const),
    minor,
    epoch: counter(1),
    seq: counter(1),
    base: counter(0),
    codec: fc.nat(255),
    trace,
  })
  .map(present);
const pull = fc
  .record({ kind: fc.constant("pull" as const), minor, base: counter(0), trace })
  .map(present);

const frameOf = (header: unknown) =>
  Buffer.from(encodeFrame(header as FrameHeader, { compressed: false, bytes: new Uint8Array(9) }));

/** What the wire's reader says, in the shape of a head. */
function wireHead(frame: Buffer): FrameHead {
  try {
    const { header } = peekFrame(frame, limits.UP_FRAME_BYTES_MAX);
    const base = "base" in header ? header.base : 0;
    return { kind: header.kind, minor: header.minor ?? 0, base };
  } catch {
    return { kind: "unreadable", minor: 0, base: 0 };
  }
}

describe("the head of a frame", () => {
  test("is what the wire's reader says, for every delta and pull", () => {
    fc.assert(
      fc.property(fc.oneof(delta, pull), (header) => {
        const frame = frameOf(header);
        expect(headOf(frame)).toEqual(wireHead(frame));
        expect(usualHead(frame) === null).toBe(header.trace !== undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is what the wire's reader says, after any mutation and any cut", () => {
    const mutation = fc.record({ at: fc.nat(40), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.oneof(delta, pull),
        fc.array(mutation, { maxLength: 3 }),
        fc.nat(60),
        (header, mutations, end) => {
          const frame = frameOf(header).subarray(0, end);
          for (const { at, value } of mutations) if (at < frame.length) frame[at] = value;
          expect(headOf(frame)).toEqual(wireHead(frame));
        },
      ),
      { numRuns: 20_000 },
    );
  });

  test("any small integer in any place is read as the wire's reader does", () => {
    for (let at = 3; at < 20; at += 1) {
      for (let value = 0; value < 256; value += 1) {
        const frame = frameOf({ kind: "delta", epoch: 2 ** 40, seq: 300, base: 5, codec: 1 });
        frame[at] = value;
        expect(headOf(frame)).toEqual(wireHead(frame));
      }
    }
  });

  test("a frame above the bound is not read", () => {
    const large = Buffer.concat([
      frameOf({ kind: "delta", epoch: 1, seq: 1, base: 0, codec: 0 }),
      Buffer.alloc(limits.UP_FRAME_BYTES_MAX),
    ]);
    expect(headOf(large).kind).toBe("unreadable");
  });
});
