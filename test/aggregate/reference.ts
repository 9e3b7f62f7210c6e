/**
 * The reference fold: slow, obvious, and free of everything that makes the real one fast.
 *
 * It takes the deltas that were applied, as a set. Per device it plays them in
 * the order of their positions and keeps the last word on each pattern; then it
 * adds everything up in BigInt, where nothing can round.
 */

import { bucketOf, type Retention } from "../../src/aggregate/buckets.ts";
import type { FoldEntry } from "../../src/aggregate/fold-state.ts";
import type { ShardSums } from "../../src/aggregate/merge.ts";
import {
  addSums,
  copySums,
  encodeSums,
  type PatternSums,
  type SumsPart,
} from "../../src/aggregate/sums.ts";
import { deviceName, limits } from "../../src/core/index.ts";
import { type DecodedUpsert, type GridVector, reconstruct } from "../../src/wire/index.ts";

/** A vector as a register holds it: with the space it is in. */
interface Placed {
  readonly space: number;
  readonly vector: GridVector;
}

interface Word extends Placed {
  readonly upsert: DecodedUpsert;
  readonly bucket: number;
}

/** Bytes by `tenant/pattern/bucket`. */
export type SumTable = ReadonlyMap<string, Uint8Array>;

/** What the sums must be after exactly `applied`, each delta once, in any order. */
export function referenceFold(applied: readonly FoldEntry[], retention: Retention): SumTable {
  const lastWords = new Map<string, Word | null>();
  const everWritten = new Map<string, Placed>();
  const played = [...applied].sort((a, b) => {
    const [left, right] = [positionOf(a), positionOf(b)];
    return left.epoch - right.epoch || left.seq - right.seq;
  });
  for (const { key, receivedAtMs, read } of played) {
    if (read.kind !== "delta") throw new Error("only deltas are applied");
    const bucket = bucketOf(retention, receivedAtMs);
    const { epoch, seq } = read.position;
    for (const upsert of read.delta.upserts) {
      const place = `${deviceName(key)}/${upsert.id}`;
      const referenced = everWritten.get(`${place} ${epoch}.${upsert.referenceSeq}`) ?? null;
      const placed = placedOf(upsert, referenced, read.delta.space);
      everWritten.set(`${place} ${epoch}.${seq}`, placed);
      lastWords.set(place, { upsert, ...placed, bucket });
    }
    for (const id of read.delta.removals) lastWords.set(`${deviceName(key)}/${id}`, null);
  }
  return addUp(lastWords);
}

function placedOf(upsert: DecodedUpsert, referenced: Placed | null, space: number): Placed {
  if (upsert.residual === null) {
    if (referenced === null) throw new Error("a reference exists");
    return referenced;
  }
  if (referenced !== null && referenced.space !== space) throw new Error("one space, or absolute");
  return { space, vector: reconstruct(referenced?.vector ?? null, upsert.residual) };
}

function addUp(lastWords: ReadonlyMap<string, Word | null>): SumTable {
  const rows = new Map<string, Word[]>();
  for (const [place, word] of lastWords) {
    if (word === null) continue;
    const [tenant, , pattern] = place.split("/");
    const name = `${tenant}/${pattern}/${word.bucket}`;
    rows.set(name, [...(rows.get(name) ?? []), word]);
  }
  return new Map([...rows].map(([name, words]) => [name, encodeSums(sumOf(words))]));
}

function sumOf(words: readonly Word[]): PatternSums {
  const total = (termOf: (word: Word) => bigint, of = words) =>
    Number(of.reduce((sum, word) => sum + termOf(word), 0n));
  const weightOf = ({ upsert }: Word) => BigInt(upsert.weight);
  const dim = words[0]?.vector.length ?? limits.DIMENSION_DEFAULT;
  const parts = new Map<number, SumsPart>();
  for (const { space } of words) {
    const own = words.filter((word) => word.space === space);
    const vector = Float64Array.from({ length: dim }, (_, index) =>
      total((word) => weightOf(word) * BigInt(word.vector[index] ?? 0), own),
    );
    parts.set(space, { devices: own.length, vector });
  }
  return {
    dim,
    weight: total(weightOf),
    devices: words.length,
    success: total((word) => weightOf(word) * BigInt(Math.round(word.upsert.success * 1000))),
    samples: total(({ upsert }) => BigInt(Math.min(upsert.samples, 2 ** 22))),
    parts,
  };
}

/** The sums of any number of shards, added up, in the same form. */
export function tableOf(shards: readonly ShardSums[]): SumTable {
  const rows = new Map<string, PatternSums>();
  for (const { tenants } of shards) {
    for (const [tenant, patterns] of tenants) {
      for (const [pattern, buckets] of patterns) {
        for (const [bucket, sums] of buckets) {
          const name = `${tenant}/${pattern}/${bucket}`;
          const known = rows.get(name);
          if (known === undefined) rows.set(name, copySums(sums));
          else addSums(known, sums);
        }
      }
    }
  }
  return new Map([...rows].map(([name, sums]) => [name, encodeSums(sums)]));
}

/** A table as sorted text, so that a difference is readable. */
export function printed(table: SumTable): string[] {
  return [...table].map(([name, bytes]) => `${name} ${Buffer.from(bytes).toString("hex")}`).sort();
}

function positionOf(entry: FoldEntry): { epoch: number; seq: number } {
  if (entry.read.position === null) throw new Error("an applied delta has a position");
  return entry.read.position;
}
