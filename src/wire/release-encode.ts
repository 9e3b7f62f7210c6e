/**
 * Writing releases: what the releaser publishes.
 * @module
 */
import { assert, isId, SerializationError } from "../core/index.ts";
import { type CborKey, type CborValue, encodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { idToCbor } from "./fields.ts";
import { type GridVector, reconstruct, residualOf, sameVector } from "./grid.ts";
import {
  compareIds,
  compareTrends,
  RELEASE_COUNT_MAX,
  RELEASE_KEY,
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  type Release,
  type ReleasePattern,
  TREND_SCORE_MAX,
  type Trend,
} from "./release.ts";

/** Moves every vector onto a fixed point of the codec, rounds weights, and sorts. */
export function quantiseRelease(release: Release, codec: Codec): Release {
  const patterns = [...release.patterns].sort(compareIds);
  const residuals = patterns.map((pattern) => residualOf(pattern.vector, null));
  const { decoded } = codec.encode(residuals, release.dim);
  return {
    version: release.version,
    dim: release.dim,
    patterns: patterns.map((pattern, index) => ({
      ...pattern,
      weight: Math.round(pattern.weight),
      vector: settle(decoded[index] as Int32Array, codec),
    })),
    trends: [...release.trends].sort(compareTrends),
  };
}

/** A decoded vector may pass the ends of an int16 and saturate there; then it is coded again. */
function settle(residual: Int32Array, codec: Codec): GridVector {
  let vector = reconstruct(null, residual);
  for (let round = 0; round < 4; round += 1) {
    const [again] = codec.encode([residualOf(vector, null)], vector.length).decoded;
    const next = reconstruct(null, again as Int32Array);
    if (sameVector(next, vector)) return vector;
    vector = next;
  }
  throw new SerializationError("release.not-quantised", "a vector does not settle on the codec");
}

/** The raw body of a snapshot. `release` must come from {@link quantiseRelease}. */
export function encodeSnapshot(release: Release, codec: Codec): Uint8Array {
  requireRelease(release);
  const body = new Map<CborKey, CborValue>([[RELEASE_KEY.dim, release.dim]]);
  setPatterns(body, release.patterns);
  setCoded(body, release.patterns, codec);
  setTrends(body, release.trends);
  return encodeCbor(body);
}

/**
 * The raw body that turns `base` into `next`: patterns that are new or changed, ids that went,
 * trends whole. Both must come from {@link quantiseRelease} and share a dimension.
 */
export function encodeReleaseDelta(base: Release, next: Release, codec: Codec): Uint8Array {
  assert(base.dim === next.dim, "a release delta keeps the dimension");
  requireRelease(next);
  const held = new Map(base.patterns.map((pattern) => [pattern.id, pattern]));
  const changed = next.patterns.filter((pattern) => !samePattern(held.get(pattern.id), pattern));
  const moved = changed.filter((pattern) => !keepsVector(held.get(pattern.id), pattern));
  const movedIds = new Set(moved.map((pattern) => pattern.id));
  const kept = changed.flatMap((pattern, index) => (movedIds.has(pattern.id) ? [] : [index]));
  const nextIds = new Set(next.patterns.map((pattern) => pattern.id));
  const removals = base.patterns.filter((pattern) => !nextIds.has(pattern.id));
  const body = new Map<CborKey, CborValue>([[RELEASE_KEY.dim, next.dim]]);
  setPatterns(body, changed);
  setCoded(body, moved, codec);
  setTrends(body, next.trends);
  setColumn(
    body,
    RELEASE_KEY.removals,
    removals.map((pattern) => idToCbor(pattern.id)),
  );
  setColumn(body, RELEASE_KEY.kept, kept);
  return encodeCbor(body);
}

type Body = Map<CborKey, CborValue>;

/** Empty columns are left out. */
function setColumn(body: Body, key: number, column: readonly CborValue[]): void {
  if (column.length > 0) body.set(key, column);
}

function setPatterns(body: Body, patterns: readonly ReleasePattern[]): void {
  const columns = [
    [RELEASE_KEY.ids, patterns.map((pattern) => idToCbor(pattern.id))],
    [RELEASE_KEY.weights, patterns.map((pattern) => pattern.weight)],
    [RELEASE_KEY.devices, patterns.map((pattern) => pattern.devices)],
  ] as const;
  for (const [key, column] of columns) setColumn(body, key, column);
}

function setTrends(body: Body, trends: readonly Trend[]): void {
  setColumn(
    body,
    RELEASE_KEY.trendIds,
    trends.map((trend) => idToCbor(trend.id)),
  );
  setColumn(
    body,
    RELEASE_KEY.trendScores,
    trends.map((trend) => trend.score),
  );
}

function setCoded(body: Body, patterns: readonly ReleasePattern[], codec: Codec): void {
  const [first] = patterns;
  if (first === undefined) return;
  body.set(RELEASE_KEY.coded, codedOf(patterns, first.vector.length, codec));
}

function codedOf(patterns: readonly ReleasePattern[], dim: number, codec: Codec): Uint8Array {
  const residuals = patterns.map((pattern) => residualOf(pattern.vector, null));
  const { bytes, decoded } = codec.encode(residuals, dim);
  for (const [index, { id, vector }] of patterns.entries()) {
    if (sameVector(reconstruct(null, decoded[index] as Int32Array), vector)) continue;
    throw new SerializationError("release.not-quantised", `pattern ${id} would change on the wire`);
  }
  return bytes;
}

/** What we would refuse from a peer we do not send. */
function requireRelease(release: Release): void {
  const { patterns, trends } = release;
  const refuse = (field: string, message: string): never => {
    throw new SerializationError(`release.${field}`, message);
  };
  if (patterns.length > RELEASE_PATTERNS_MAX) refuse("ids", `${patterns.length} patterns`);
  if (trends.length > RELEASE_TRENDS_MAX) refuse("trend-ids", `${trends.length} trends`);
  for (const [index, pattern] of patterns.entries()) {
    const previous = patterns[index - 1];
    if (!isId(pattern.id)) refuse("ids", `not an id: ${JSON.stringify(pattern.id)}`);
    if (previous && compareIds(previous, pattern) >= 0) refuse("order", "ids must ascend");
    if (pattern.vector.length !== release.dim) refuse("dim", `of pattern ${pattern.id}`);
    if (!isCount(pattern.weight, RELEASE_COUNT_MAX)) refuse("weights", `${pattern.weight}`);
    if (!isCount(pattern.devices, RELEASE_COUNT_MAX)) refuse("devices", `${pattern.devices}`);
  }
  if (new Set(trends.map((trend) => trend.id)).size < trends.length)
    refuse("trend-ids", "repeated");
  for (const [index, trend] of trends.entries()) {
    const previous = trends[index - 1];
    if (!isId(trend.id)) refuse("trend-ids", `not an id: ${JSON.stringify(trend.id)}`);
    if (!isCount(trend.score, TREND_SCORE_MAX)) refuse("trend-scores", `${trend.score}`);
    if (previous && compareTrends(previous, trend) >= 0) refuse("order", "trends must fall");
  }
}

function isCount(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max;
}

function samePattern(a: ReleasePattern | undefined, b: ReleasePattern): boolean {
  return a?.weight === b.weight && a.devices === b.devices && sameVector(a.vector, b.vector);
}

function keepsVector(a: ReleasePattern | undefined, b: ReleasePattern): boolean {
  return a !== undefined && sameVector(a.vector, b.vector);
}
