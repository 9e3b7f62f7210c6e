import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeHeader, type FrameHeader, readHeader } from "../../src/wire/header.ts";
import { usualHeader } from "../../src/wire/usual-header.ts";

/** Where a header stands in a frame. */
const AT = 3;
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

/** The header with three bytes before it and a body behind it. */
const framed = (header: unknown) =>
  Buffer.concat([Buffer.of(1, 2, AT), encodeHeader(header as FrameHeader), Buffer.alloc(70)]);

/** What header.ts reads; null for no header. */
function anyHeader(frame: Buffer) {
  try {
    const { header, end } = readHeader(frame.subarray(AT));
    return { header, end: end + AT };
  } catch {
    return null;
  }
}

/** A usual header is read alike by both; what one alone reads is not usual. */
function expectSame(frame: Buffer): void {
  const usual = usualHeader(frame, AT);
  if (usual !== null) expect(usual).toEqual(anyHeader(frame));
}

describe("a usual header", () => {
  test("is every delta's and pull's but for those with a trace, and is what header.ts reads", () => {
    fc.assert(
      fc.property(fc.oneof(delta, pull), (header) => {
        const frame = framed(header);
        const usual = usualHeader(frame, AT);
        if ("trace" in header) expect(usual).toBeNull();
        else expect(usual).toEqual({ header, end: frame.length - 70 });
        expectSame(frame);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is what header.ts reads, after any mutation and any cut", () => {
    const mutation = fc.record({ at: fc.nat(40), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.oneof(delta, pull),
        fc.array(mutation, { maxLength: 3 }),
        fc.nat(60),
        (header, mutations, end) => {
          const frame = framed(header).subarray(0, end);
          for (const { at, value } of mutations) if (at < frame.length) frame[at] = value;
          expectSame(frame);
        },
      ),
      { numRuns: 20_000 },
    );
  });

  test("any byte in any place is read as header.ts does", () => {
    for (let at = AT; at < 20; at += 1) {
      for (let value = 0; value < 256; value += 1) {
        const frame = framed({ kind: "delta", epoch: 2 ** 40, seq: 300, base: 5, codec: 1 });
        frame[at] = value;
        expectSame(frame);
      }
    }
  });
});
