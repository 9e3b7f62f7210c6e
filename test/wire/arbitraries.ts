/**
 * Valid values of every kind that travels, for the properties of this room.
 * @module
 */
import fc from "fast-check";
import {
  type CborValue,
  codec0,
  type DeltaContent,
  type GridVector,
  type Problem,
  quantiseRelease,
  type Release,
  type Upsert,
} from "../../src/wire/index.ts";

const ID_CHARACTERS = "ABCXYZabcxyz0189_-".split("");
const COUNTER = { min: 1, max: 2 ** 48 - 1 };

export const anyId: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: fc.constantFrom(...ID_CHARACTERS), minLength: 1, maxLength: 64 }),
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 16, maxLength: 16 }),
);

/** A vector that is not all zero, any int16 allowed. */
export function anyVector(dim: number): fc.Arbitrary<GridVector> {
  const component = fc.oneof(
    fc.integer({ min: -2000, max: 2000 }),
    fc.constantFrom(0, 1, -1, 16384, -16384, 32767, -32768),
  );
  return fc
    .array(component, { minLength: dim, maxLength: dim })
    .filter((components) => components.some((value) => value !== 0))
    .map((components) => Int16Array.from(components));
}

function anyEmbedding(dim: number, seq: number): fc.Arbitrary<Upsert["embedding"]> {
  const absolute = anyVector(dim).map((target) => ({ mode: "absolute" as const, target }));
  if (seq < 2) return absolute;
  const referenceSeq = fc.integer({ min: 1, max: seq - 1 });
  return fc.oneof(
    absolute,
    fc.record({
      mode: fc.constant("difference" as const),
      target: anyVector(dim),
      reference: anyVector(dim),
      referenceSeq,
    }),
    fc.record({ mode: fc.constant("kept" as const), referenceSeq }),
  );
}

function anyUpsert(id: string, dim: number, seq: number): fc.Arbitrary<Upsert> {
  return fc.record({
    id: fc.constant(id),
    weight: fc.integer({ min: 1, max: 1023 }),
    success: fc.integer({ min: 0, max: 1000 }).map((permille) => permille / 1000),
    samples: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    updatedAtS: fc.integer({ min: 0, max: 2 ** 40 }),
    embedding: anyEmbedding(dim, seq),
  });
}

export const anyPosition = fc.record({
  epoch: fc.integer(COUNTER),
  seq: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer(COUNTER)),
});

export interface DeltaInput {
  readonly at: { epoch: number; seq: number; base: number; trace?: Uint8Array };
  readonly content: DeltaContent;
}

export const anyDelta: fc.Arbitrary<DeltaInput> = fc
  .record({
    position: anyPosition,
    base: fc.integer({ min: 0, max: COUNTER.max }),
    trace: fc.option(fc.uint8Array({ minLength: 1, maxLength: 16 }), { nil: undefined }),
    dim: fc.integer({ min: 8, max: 40 }),
    ids: fc.uniqueArray(anyId, { minLength: 1, maxLength: 8 }),
    removed: fc.nat(8),
  })
  .chain(({ position, base, trace, dim, ids, removed }) => {
    const removals = ids.slice(0, Math.min(removed, ids.length));
    const upserts = ids.slice(removals.length).map((id) => anyUpsert(id, dim, position.seq));
    return fc.tuple(...upserts).map((list) => ({
      at: trace === undefined ? { ...position, base } : { ...position, base, trace },
      content: { dim, upserts: list, removals },
    }));
  });

/** Releases as they are published: on the codec's fixed points. */
export function anyRelease(dim: number): fc.Arbitrary<Release> {
  const count = fc.integer({ min: 0, max: 1_000_000 });
  const pattern = fc.record({ id: anyId, weight: count, devices: count, vector: anyVector(dim) });
  const trend = fc.record({ id: anyId, score: fc.integer({ min: 0, max: 1000 }) });
  const byId = (item: { id: string }) => item.id;
  return fc
    .record({
      version: fc.integer({ min: 1, max: 1_000_000 }),
      dim: fc.constant(dim),
      patterns: fc.uniqueArray(pattern, { selector: byId, maxLength: 10 }),
      trends: fc.uniqueArray(trend, { selector: byId, maxLength: 6 }),
    })
    .map((release) => quantiseRelease(release, codec0));
}

export const anyProblem: fc.Arbitrary<Problem> = fc
  .record({
    reason: fc.constantFrom("frame.truncated", "cbor.depth", "reference.missing", "x"),
    title: fc.string({ unit: "grapheme", maxLength: 20 }),
    detail: fc.option(fc.string({ unit: "grapheme", maxLength: 40 }), { nil: undefined }),
    position: fc.option(anyPosition, { nil: null }),
  })
  .map(({ detail, ...problem }) => (detail === undefined ? problem : { ...problem, detail }));

/** CBOR within the walker's depth: three container levels and leaves. */
export const anyCbor: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc
      .uniqueArray(
        fc.tuple(
          fc.oneof(
            fc.integer(),
            fc.string({ maxLength: 30 }).filter((key) => key !== "__proto__"),
          ),
          tie("value"),
        ),
        { selector: ([key]) => key, maxLength: 5 },
      )
      .map((entries) => new Map(entries)),
  ),
})).value;
