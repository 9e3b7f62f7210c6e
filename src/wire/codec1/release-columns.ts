/**
 * The metadata of a release or of a difference in bits: all columns but the vectors.
 *
 *   removals   which ids of the base are gone: an index set
 *   changed    which of those left have news: an index set
 *   kept       which of the changed keep their vector: an index set
 *   new ids    a sorted set of ids
 *   weights    levels of the count grid, in the order of the ids, changed and new together
 *   devices    1 bit: themselves or subtracted from the weights' levels; then levels
 *   trends     which patterns of the result: an index set; other ids: a sorted set; the scores of
 *              both, levels
 *
 * Both ends know the ids of the base, so a pattern that changed costs a bit or
 * two of index set instead of 64 bits of id; a snapshot is the difference to
 * nothing. Nothing here has an order of its own: ids ascend, trends fall by
 * score, so neither is told. Counts must lie on the grid (count-grid.ts).
 * A hundred new patterns with random ids take 9.1 bytes each, of which the
 * ids are 7.4; in CBOR they take 15.5, and 13.1 after zstd.
 * @module
 */
import { ProtocolError, SerializationError } from "../../core/index.ts";
import {
  compareTrends,
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  TREND_SCORE_MAX,
  type Trend,
} from "../release.ts";
import { BitReader, BitWriter } from "./bits.ts";
import { COUNT_LEVEL_MAX, countAt, levelOf, roundCount } from "./count-grid.ts";
import { readIdSet, writeIdSet } from "./id-column.ts";
import { readIndexSet, writeIndexSet } from "./index-set.ts";
import { readLevels, writeLevels } from "./number-column.ts";

export interface ReleaseColumns {
  /** New and changed patterns, ascending. */
  readonly ids: readonly string[];
  /** On the count grid, one per id. */
  readonly weights: readonly number[];
  /** On the count grid, one per id. */
  readonly devices: readonly number[];
  /** Ascending indexes into `ids` of patterns of the base whose vector stays. */
  readonly kept: readonly number[];
  /** Ids of the base that are gone, ascending. */
  readonly removals: readonly string[];
  /** Falling by score, then ascending by id. */
  readonly trends: readonly Trend[];
}

/**
 * The columns of the difference to a release with the ids `base` (ascending; none for a snapshot).
 *
 * Throws `SerializationError("release.…")` for what does not fit `base`, lies off the count grid or
 * is out of range; order is the caller's duty.
 */
export function packReleaseColumns(columns: ReleaseColumns, base: readonly string[]): Uint8Array {
  const { ids, removals, trends } = columns;
  const writer = new BitWriter();
  writeSubset(writer, removals, base, "removals");
  const left = without(base, removals);
  const leftIds = new Set(left);
  const changed = ids.filter((id) => leftIds.has(id));
  const fresh = ids.filter((id) => !leftIds.has(id));
  const gone = new Set(removals);
  if (fresh.some((id) => gone.has(id))) refuseOurs("ids", "an id is removed and there");
  writeSubset(writer, changed, left, "ids");
  writeSubset(
    writer,
    columns.kept.map((index) => ids[index] as string),
    changed,
    "kept",
  );
  writeIdSet(writer, fresh);
  const weights = levelsOf(columns.weights, ids.length, "weights");
  writeLevels(writer, weights, COUNT_LEVEL_MAX);
  writeDevices(writer, levelsOf(columns.devices, ids.length, "devices"), weights);
  writeTrends(writer, trends, merged(left, fresh));
  return writer.done();
}

/**
 * The columns in `bytes`, which turn a release with the ids `base` into the next.
 *
 * Throws `ProtocolError`: `columns.…` when the bits are not those of columns, else `release.…` with
 * the reasons of a release in CBOR.
 */
export function unpackReleaseColumns(bytes: Uint8Array, base: readonly string[]): ReleaseColumns {
  const reader = new BitReader(bytes);
  const removals = readSubset(reader, base);
  const left = without(base, removals);
  const changed = readSubset(reader, left);
  const keptIds = new Set(readSubset(reader, changed));
  const fresh = readIdSet(reader, Math.max(0, RELEASE_PATTERNS_MAX - left.length));
  const baseIds = new Set(base);
  if (fresh.some((id) => baseIds.has(id))) refuse("ids", "an id of the base stands as new");
  const ids = merged(changed, fresh);
  const weights = readLevels(reader, ids.length, COUNT_LEVEL_MAX);
  const devices = readDevices(reader, weights);
  const trends = readTrends(reader, merged(left, fresh));
  reader.end();
  return {
    ids,
    weights: countsOf(weights, "weights"),
    devices: countsOf(devices, "devices"),
    kept: ids.flatMap((id, index) => (keptIds.has(id) ? [index] : [])),
    removals,
    trends,
  };
}

/** Where devices bring alike weights, the quotient of the two counts varies less than either. */
function writeDevices(
  writer: BitWriter,
  devices: readonly number[],
  weights: readonly number[],
): void {
  if (devices.length === 0) return;
  const below = devices.map((level, index) => COUNT_LEVEL_MAX + (weights[index] as number) - level);
  const [alone, relative] = [new BitWriter(), new BitWriter()];
  writeLevels(alone, devices, COUNT_LEVEL_MAX);
  writeLevels(relative, below, 2 * COUNT_LEVEL_MAX);
  if (relative.length < alone.length) {
    writer.bits(1, 1);
    writeLevels(writer, below, 2 * COUNT_LEVEL_MAX);
  } else {
    writer.bits(0, 1);
    writeLevels(writer, devices, COUNT_LEVEL_MAX);
  }
}

function readDevices(reader: BitReader, weights: readonly number[]): number[] {
  if (weights.length === 0) return [];
  if (reader.bits(1) === 0) return readLevels(reader, weights.length, COUNT_LEVEL_MAX);
  const below = readLevels(reader, weights.length, 2 * COUNT_LEVEL_MAX);
  return below.map((level, index) => COUNT_LEVEL_MAX + (weights[index] as number) - level);
}

/** `patterns` are the ids of the release as the difference leaves it. */
function writeTrends(
  writer: BitWriter,
  trends: readonly Trend[],
  patterns: readonly string[],
): void {
  const scores = new Map(trends.map((trend) => [trend.id, trend.score]));
  if (trends.length > RELEASE_TRENDS_MAX) refuseOurs("trend-ids", `${trends.length} trends`);
  if (scores.size < trends.length) refuseOurs("trend-ids", "an id occurs twice");
  for (const score of scores.values()) {
    if (Number.isInteger(score) && score >= 0 && score <= TREND_SCORE_MAX) continue;
    refuseOurs("trend-scores", `must be 0 to ${TREND_SCORE_MAX}: got ${score}`);
  }
  const known = new Set(patterns);
  const here = patterns.filter((id) => scores.has(id));
  const elsewhere = [...scores.keys()].filter((id) => !known.has(id)).sort();
  writeSubset(writer, here, patterns, "trend-ids");
  writeIdSet(writer, elsewhere);
  writeLevels(
    writer,
    [...here, ...elsewhere].map((id) => scores.get(id) as number),
    TREND_SCORE_MAX,
  );
}

function readTrends(reader: BitReader, patterns: readonly string[]): Trend[] {
  const here = readSubset(reader, patterns);
  if (here.length > RELEASE_TRENDS_MAX) refuse("trend-ids", `${here.length} trends`);
  const elsewhere = readIdSet(reader, RELEASE_TRENDS_MAX - here.length);
  const known = new Set(patterns);
  if (elsewhere.some((id) => known.has(id))) refuse("trend-ids", "a pattern stands as a stranger");
  const ids = [...here, ...elsewhere];
  const scores = readLevels(reader, ids.length, TREND_SCORE_MAX);
  for (const score of scores) {
    if (score > TREND_SCORE_MAX) refuse("trend-scores", `at most ${TREND_SCORE_MAX}: got ${score}`);
  }
  return ids.map((id, index) => ({ id, score: scores[index] as number })).sort(compareTrends);
}

/** `some` of `all`, in the same order. */
function writeSubset(
  writer: BitWriter,
  some: readonly string[],
  all: readonly string[],
  field: string,
): void {
  const wanted = new Set(some);
  const indexes = all.flatMap((id, index) => (wanted.has(id) ? [index] : []));
  if (indexes.length < some.length) refuseOurs(field, "an id is not there, or twice");
  writeIndexSet(writer, indexes, all.length);
}

function readSubset(reader: BitReader, all: readonly string[]): string[] {
  return readIndexSet(reader, all.length).map((index) => all[index] as string);
}

function without(ids: readonly string[], removals: readonly string[]): readonly string[] {
  if (removals.length === 0) return ids;
  const gone = new Set(removals);
  return ids.filter((id) => !gone.has(id));
}

function merged(a: readonly string[], b: readonly string[]): readonly string[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  return [...a, ...b].sort();
}

function levelsOf(counts: readonly number[], length: number, field: string): number[] {
  if (counts.length !== length) refuseOurs(field, `must hold ${length} items`);
  for (const count of counts) {
    if (Number.isSafeInteger(count) && count >= 0 && roundCount(count) === count) continue;
    refuseOurs(field, `must be on the count grid: got ${count}`);
  }
  return counts.map(levelOf);
}

function countsOf(levels: readonly number[], field: string): number[] {
  for (const level of levels) {
    if (level < 0 || level > COUNT_LEVEL_MAX) refuse(field, "is beyond the count grid");
  }
  return levels.map(countAt);
}

/** The peer's fault. */
function refuse(field: string, message: string): never {
  throw new ProtocolError(`release.${field}`, message);
}

/** Our caller's fault. */
function refuseOurs(field: string, message: string): never {
  throw new SerializationError(`release.${field}`, message);
}
