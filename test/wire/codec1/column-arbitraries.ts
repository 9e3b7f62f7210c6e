/**
 * Legal columns of every kind, and bytes that were tampered with.
 * @module
 */
import fc from "fast-check";
import { countAt } from "../../../src/wire/codec1/count-grid.ts";
import type { ReleaseColumns } from "../../../src/wire/codec1/release-columns.ts";
import type { DeltaColumns } from "../../../src/wire/delta-rules.ts";
import { anyId } from "../arbitraries.ts";

/** Ids that lie close together or share beginnings, besides any others. */
const anyNeighbour: fc.Arbitrary<string> = fc.oneof(
  anyId,
  fc.nat(300).map((number) => number.toString(16).padStart(16, "0")),
  fc.nat(300).map((number) => `a${number}`),
  fc.constantFrom("f".repeat(16), "0".repeat(16), "f".repeat(17), "-".repeat(64), "z".repeat(64)),
);

const anyIds = (maxLength: number) => fc.uniqueArray(anyNeighbour, { maxLength });

const anySeq = fc.oneof(
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 2 ** 48 - 1 }),
);

function anyRef(seq: number): fc.Arbitrary<number> {
  const bound = seq - 1;
  return fc.oneof(
    fc.constant(0),
    fc.integer({ min: -bound, max: bound }),
    fc
      .integer({ min: Math.max(1, seq - 5), max: Math.max(1, bound) })
      .map((s) => (s > bound ? 0 : s)),
  );
}

export const anyDeltaColumns: fc.Arbitrary<{ columns: DeltaColumns; seq: number }> = fc
  .record({
    seq: anySeq,
    ids: fc.uniqueArray(anyNeighbour, { minLength: 1, maxLength: 40 }),
    removed: fc.nat(40),
    ordered: fc.boolean(),
  })
  .chain(({ seq, ids, removed, ordered }) => {
    const removals = ids.slice(0, Math.min(removed, ids.length));
    const upserts = ids.slice(removals.length);
    const column = (values: fc.Arbitrary<number>) =>
      fc.array(values, { minLength: upserts.length, maxLength: upserts.length });
    const time = fc.oneof(
      fc.integer({ min: 1_790_000_000, max: 1_790_010_000 }),
      fc.integer({ min: 0, max: 2 ** 40 }),
    );
    return fc.record({
      seq: fc.constant(seq),
      columns: fc.record({
        ids: fc.constant(upserts),
        weights: column(fc.integer({ min: 1, max: 1_023 })),
        success: column(
          fc.oneof(fc.integer({ min: 700, max: 1_000 }), fc.integer({ min: 0, max: 1_000 })),
        ),
        samples: column(fc.oneof(fc.nat(1_000), fc.integer({ min: 0, max: 2 ** 32 - 1 }))),
        updatedAtS: column(time).map((times) => (ordered ? times.sort((a, b) => a - b) : times)),
        refs: column(fc.oneof(fc.constant(0), anyRef(seq))),
        removals: fc.constant(removals),
      }),
    });
  });

const byScore = (a: { id: string; score: number }, b: { id: string; score: number }) =>
  b.score - a.score || (a.id < b.id ? -1 : 1);

/** A difference to a release with the ids `base`, which may be none. */
export const anyReleaseColumns: fc.Arbitrary<{ columns: ReleaseColumns; base: string[] }> = fc
  .record({ base: anyIds(25), others: anyIds(25), fates: fc.array(fc.nat(4), { minLength: 1 }) })
  .chain(({ base, others, fates }) => {
    base.sort();
    const fateOf = (index: number) => fates[index % fates.length] ?? 0;
    const removals = base.filter((_, index) => fateOf(index) === 1);
    const kept = new Set(base.filter((_, index) => fateOf(index) === 2));
    const changed = base.filter((_, index) => fateOf(index) === 2 || fateOf(index) === 3);
    const fresh = others.filter((id) => !base.includes(id));
    const ids = [...changed, ...fresh].sort();
    const column = fc.array(fc.nat(367).map(countAt), {
      minLength: ids.length,
      maxLength: ids.length,
    });
    const trendIds = fc.uniqueArray(fc.oneof(anyId, fc.constantFrom(...base, ...ids, "trend")), {
      maxLength: 20,
    });
    const trends = trendIds.chain((list) =>
      fc
        .array(fc.integer({ min: 0, max: 1_000 }), {
          minLength: list.length,
          maxLength: list.length,
        })
        .map((scores) => list.map((id, at) => ({ id, score: scores[at] ?? 0 })).sort(byScore)),
    );
    return fc.record({
      base: fc.constant(base),
      columns: fc.record({
        ids: fc.constant(ids),
        weights: column,
        devices: column,
        kept: fc.constant(ids.flatMap((id, index) => (kept.has(id) ? [index] : []))),
        removals: fc.constant(removals),
        trends,
      }),
    });
  });

/** What to do to bytes: at each place change, insert or drop one. */
export const anyTampering = fc.array(
  fc.record({
    what: fc.constantFrom("flip", "insert", "drop"),
    at: fc.nat(),
    byte: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 1, maxLength: 4 },
);

export function tamper(
  bytes: Uint8Array,
  changes: readonly { what: string; at: number; byte: number }[],
): Uint8Array {
  const list = [...bytes];
  for (const { what, at, byte } of changes) {
    const index = list.length === 0 ? 0 : at % list.length;
    if (what === "flip") list[index] = (list[index] ?? 0) ^ byte;
    else list.splice(index, what === "drop" ? 1 : 0, ...(what === "drop" ? [] : [byte]));
  }
  return Uint8Array.from(list);
}
