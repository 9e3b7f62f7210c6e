/**
 * Releases: the global patterns of one version, whole or as a difference.
 *
 * The body is a CBOR map of columns; an empty column is left out:
 *
 *   0 dim   1 ids   2 weights   3 devices   4 coded   5 trend ids   6 trend scores   7 removals
 *
 * Vectors are fixed points of the codec and always coded absolutely, so a
 * device reaches the same bits by a snapshot or by any chain of differences
 * (P5), and the content hash proves it.
 * @module
 */
import { assert, isId, limits, ProtocolError, SerializationError } from "../core/index.ts";
import { type CborKey, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { codecById } from "./codecs.ts";
import { contentHash } from "./content-hash.ts";
import { Fields, idToCbor } from "./fields.ts";
import { type Frame, unpackBody } from "./frame.ts";
import { type GridVector, reconstruct, residualOf } from "./grid.ts";
import {
  compareIds,
  compareTrends,
  RELEASE_COUNT_MAX,
  type Release,
  type ReleasePattern,
  TREND_SCORE_MAX,
  type Trend,
} from "./release-state.ts";
import type { Zstd } from "./zstd.ts";

/** Patterns and trends in one release. */
export const RELEASE_PATTERNS_MAX = 2048;
export const RELEASE_TRENDS_MAX = 256;

const KEY = {
  dim: 0,
  ids: 1,
  weights: 2,
  devices: 3,
  coded: 4,
  trendIds: 5,
  trendScores: 6,
  removals: 7,
} as const;
const NAMES = {
  0: "dim",
  1: "ids",
  2: "weights",
  3: "devices",
  4: "coded",
  5: "trend-ids",
  6: "trend-scores",
} as const;
const NAMES_DELTA = { ...NAMES, 7: "removals" } as const;

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
  return encodeCbor(columnsOf(release, release.patterns, codec));
}

/**
 * The raw body that turns `base` into `next`: patterns that are new or changed, ids that went,
 * trends whole. Both must come from {@link quantiseRelease} and share a dimension.
 */
export function encodeReleaseDelta(base: Release, next: Release, codec: Codec): Uint8Array {
  assert(base.dim === next.dim, "a release delta keeps the dimension");
  const held = new Map(base.patterns.map((pattern) => [pattern.id, pattern]));
  const changed = next.patterns.filter((pattern) => !samePattern(held.get(pattern.id), pattern));
  const kept = new Set(next.patterns.map((pattern) => pattern.id));
  const removals = base.patterns.map((pattern) => pattern.id).filter((id) => !kept.has(id));
  const body = columnsOf(next, changed, codec);
  if (removals.length > 0) body.set(KEY.removals, removals.map(idToCbor));
  return encodeCbor(body);
}

function columnsOf(
  release: Release,
  patterns: readonly ReleasePattern[],
  codec: Codec,
): Map<CborKey, CborValue> {
  requireRelease(release);
  const body = new Map<CborKey, CborValue>([[KEY.dim, release.dim]]);
  if (patterns.length > 0) {
    body.set(
      KEY.ids,
      patterns.map((pattern) => idToCbor(pattern.id)),
    );
    body.set(
      KEY.weights,
      patterns.map((pattern) => pattern.weight),
    );
    body.set(
      KEY.devices,
      patterns.map((pattern) => pattern.devices),
    );
    body.set(KEY.coded, codedOf(patterns, release.dim, codec));
  }
  if (release.trends.length > 0) {
    body.set(
      KEY.trendIds,
      release.trends.map((trend) => idToCbor(trend.id)),
    );
    body.set(
      KEY.trendScores,
      release.trends.map((trend) => trend.score),
    );
  }
  return body;
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

/**
 * The release that `frame` brings to a device which holds `held`.
 *
 * Throws `ProtocolError`: `frame.kind`, `release.base` when `held` is not the frame's base,
 * `release.hash` when the content hash differs, `release.{field}`, `codec.…`; or
 * `SerializationError("cbor.…")`, `CompressionError("zstd.…")`.
 */
export function decodeRelease(frame: Frame, held: Release | null, zstd: Zstd): Release {
  const { header } = frame;
  if (header.kind !== "snapshot" && header.kind !== "release-delta") {
    throw new ProtocolError("frame.kind", `expected a release: got a ${header.kind}`);
  }
  const codec = codecById(header.codec);
  const raw = unpackBody(frame.body, zstd);
  const release =
    header.kind === "snapshot"
      ? decodeSnapshot(raw, header.version, codec)
      : decodeReleaseDelta(raw, header, requireBase(held, header.base), codec);
  const hash = contentHash(release);
  if (hash.every((byte, index) => byte === header.contentHash[index])) return release;
  throw new ProtocolError("release.hash", `version ${header.version} is not what it claims to be`);
}

function requireBase(held: Release | null, base: number): Release {
  if (held !== null && held.version === base) return held;
  throw new ProtocolError("release.base", `needs version ${base}: holds ${held?.version ?? 0}`, {
    detail: { base, held: held?.version ?? 0 },
  });
}

function decodeSnapshot(raw: Uint8Array, version: number, codec: Codec): Release {
  const { dim, patterns, trends } = decodeColumns(
    new Fields(decodeCbor(raw), "release", NAMES),
    codec,
  );
  return { version, dim, patterns, trends };
}

function decodeReleaseDelta(
  raw: Uint8Array,
  header: { readonly version: number; readonly base: number },
  held: Release,
  codec: Codec,
): Release {
  const { version, base } = header;
  if (base > version) throw new ProtocolError("release.version", "the base is newer");
  if ((raw.length === 0) !== (base === version)) {
    throw new ProtocolError("release.body", "the body is empty exactly when nothing changed");
  }
  if (base === version) return held;
  const fields = new Fields(decodeCbor(raw), "release", NAMES_DELTA);
  const { dim, patterns: changed, trends } = decodeColumns(fields, codec);
  if (dim !== held.dim) throw new ProtocolError("release.dim", `${held.dim} became ${dim}`);
  const patterns = new Map(held.patterns.map((pattern) => [pattern.id, pattern]));
  for (const pattern of changed) patterns.set(pattern.id, pattern);
  const changedIds = new Set(changed.map((pattern) => pattern.id));
  for (const id of fields.ids(KEY.removals, RELEASE_PATTERNS_MAX)) {
    if (!changedIds.has(id) && patterns.delete(id)) continue;
    throw new ProtocolError("release.removals", `pattern ${id} is not there to be removed`);
  }
  return { version, dim, patterns: [...patterns.values()].sort(compareIds), trends };
}

function decodeColumns(
  fields: Fields,
  codec: Codec,
): { dim: number; patterns: ReleasePattern[]; trends: Trend[] } {
  const dim = fields.integer(KEY.dim, { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX });
  const ids = fields.ids(KEY.ids, RELEASE_PATTERNS_MAX);
  const count = { min: 0, max: RELEASE_COUNT_MAX };
  const weights = fields.integers(KEY.weights, ids.length, count);
  const devices = fields.integers(KEY.devices, ids.length, count);
  const vectors = vectorsOf(fields, ids.length, dim, codec);
  const patterns = ids.map((id, index) => ({
    id,
    weight: weights[index] as number,
    devices: devices[index] as number,
    vector: vectors[index] as GridVector,
  }));
  const trendIds = fields.ids(KEY.trendIds, RELEASE_TRENDS_MAX);
  const scoreRange = { min: 0, max: TREND_SCORE_MAX };
  const scores = fields.integers(KEY.trendScores, trendIds.length, scoreRange);
  const trends = trendIds.map((id, index) => ({ id, score: scores[index] as number }));
  requireAscending(patterns, compareIds);
  requireAscending(trends, compareTrends);
  return { dim, patterns, trends };
}

function requireAscending<Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
): void {
  for (let index = 1; index < items.length; index += 1) {
    if (compare(items[index - 1] as Item, items[index] as Item) < 0) continue;
    throw new ProtocolError("release.order", "patterns ascend by id, trends fall by score");
  }
}

function vectorsOf(fields: Fields, count: number, dim: number, codec: Codec): GridVector[] {
  if (count === 0) {
    if (fields.has(KEY.coded)) fields.refuse(KEY.coded, "must be left out when empty");
    return [];
  }
  const bytes = fields.bytes(KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  return codec.decode(bytes, count, dim).map((residual) => reconstruct(null, residual));
}

function samePattern(a: ReleasePattern | undefined, b: ReleasePattern): boolean {
  if (a === undefined || a.weight !== b.weight || a.devices !== b.devices) return false;
  return sameVector(a.vector, b.vector);
}

function sameVector(a: GridVector, b: GridVector): boolean {
  return a === b || (a.length === b.length && a.every((component, at) => component === b[at]));
}
