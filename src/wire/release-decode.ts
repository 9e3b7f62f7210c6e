/**
 * Reading releases: what a device does with a snapshot or a difference.
 * @module
 */
import { limits, ProtocolError, sameBytes } from "../core/index.ts";
import { decodeCbor } from "./cbor.ts";
import type { Codec } from "./codec.ts";
import { codecById } from "./codecs.ts";
import { contentHash } from "./content-hash.ts";
import { Fields } from "./fields.ts";
import { type Frame, unpackBody } from "./frame.ts";
import { type GridVector, reconstruct } from "./grid.ts";
import {
  compareIds,
  compareTrends,
  RELEASE_COUNT_MAX,
  RELEASE_DELTA_NAMES,
  RELEASE_KEY,
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  type Release,
  type ReleasePattern,
  SNAPSHOT_NAMES,
  TREND_SCORE_MAX,
  type Trend,
} from "./release.ts";
import type { Zstd } from "./zstd.ts";

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
  if (sameBytes(contentHash(release), header.contentHash)) return release;
  throw new ProtocolError("release.hash", `version ${header.version} is not what it claims to be`);
}

function requireBase(held: Release | null, base: number): Release {
  if (held !== null && held.version === base) return held;
  throw new ProtocolError("release.base", `needs version ${base}: holds ${held?.version ?? 0}`, {
    detail: { base, held: held?.version ?? 0 },
  });
}

function decodeSnapshot(raw: Uint8Array, version: number, codec: Codec): Release {
  const fields = new Fields(decodeCbor(raw), "release", SNAPSHOT_NAMES);
  const dim = dimOf(fields);
  return { version, dim, patterns: patternsOf(fields, dim, codec, []), trends: trendsOf(fields) };
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
  const fields = new Fields(decodeCbor(raw), "release", RELEASE_DELTA_NAMES);
  const dim = dimOf(fields);
  if (dim !== held.dim) fields.refuse(RELEASE_KEY.dim, `was ${held.dim} and became ${dim}`);
  const changed = patternsOf(fields, dim, codec, held.patterns);
  const patterns = new Map(held.patterns.map((pattern) => [pattern.id, pattern]));
  const changedIds = new Set(changed.map((pattern) => pattern.id));
  for (const id of fields.ids(RELEASE_KEY.removals, RELEASE_PATTERNS_MAX)) {
    if (changedIds.has(id) || !patterns.delete(id)) {
      fields.refuse(RELEASE_KEY.removals, `holds ${id}, which is not there to be removed`);
    }
  }
  for (const pattern of changed) patterns.set(pattern.id, pattern);
  // A chain of differences must not grow a release beyond what a snapshot may hold (P8).
  if (patterns.size > RELEASE_PATTERNS_MAX) fields.refuse(RELEASE_KEY.ids, "grows too long");
  const sorted = [...patterns.values()].sort(compareIds);
  return { version, dim, patterns: sorted, trends: trendsOf(fields) };
}

function dimOf(fields: Fields): number {
  const range = { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX };
  return fields.integer(RELEASE_KEY.dim, range);
}

/** The pattern columns; kept vectors are taken from `held`. */
function patternsOf(
  fields: Fields,
  dim: number,
  codec: Codec,
  held: readonly ReleasePattern[],
): ReleasePattern[] {
  const ids = fields.ids(RELEASE_KEY.ids, RELEASE_PATTERNS_MAX);
  const count = { min: 0, max: RELEASE_COUNT_MAX };
  const weights = fields.integers(RELEASE_KEY.weights, ids.length, count);
  const devices = fields.integers(RELEASE_KEY.devices, ids.length, count);
  const vectors = keptVectors(fields, ids, held);
  const coded = codedVectors(fields, ids.length - vectors.size, dim, codec);
  let next = 0;
  const patterns = ids.map((id, index) => ({
    id,
    weight: weights[index] as number,
    devices: devices[index] as number,
    vector: vectors.get(index) ?? (coded[next++] as GridVector),
  }));
  requireAscending(patterns, compareIds);
  return patterns;
}

/** The held vectors of kept patterns, by index into `ids`. */
function keptVectors(
  fields: Fields,
  ids: readonly string[],
  held: readonly ReleasePattern[],
): Map<number, GridVector> {
  const kept = new Map<number, GridVector>();
  const indexes = fields.column(RELEASE_KEY.kept, ids.length);
  if (indexes.length === 0) return kept;
  const byId = new Map(held.map((pattern) => [pattern.id, pattern.vector]));
  let previous = -1;
  for (const index of indexes) {
    const vector = typeof index === "number" ? byId.get(ids[index] ?? "") : undefined;
    if (typeof index !== "number" || index <= previous || vector === undefined) {
      fields.refuse(RELEASE_KEY.kept, "must be rising indexes of patterns that are held");
    }
    kept.set(index, vector);
    previous = index;
  }
  return kept;
}

function trendsOf(fields: Fields): Trend[] {
  const ids = fields.ids(RELEASE_KEY.trendIds, RELEASE_TRENDS_MAX);
  const range = { min: 0, max: TREND_SCORE_MAX };
  const scores = fields.integers(RELEASE_KEY.trendScores, ids.length, range);
  const trends = ids.map((id, index) => ({ id, score: scores[index] as number }));
  if (new Set(ids).size < ids.length) fields.refuse(RELEASE_KEY.trendIds, "repeats an id");
  requireAscending(trends, compareTrends);
  return trends;
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

function codedVectors(fields: Fields, count: number, dim: number, codec: Codec): GridVector[] {
  if (count === 0) {
    if (fields.has(RELEASE_KEY.coded)) fields.refuse(RELEASE_KEY.coded, "is left out when empty");
    return [];
  }
  const bytes = fields.bytes(RELEASE_KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  return codec.decode(bytes, count, dim).map((residual) => reconstruct(null, residual));
}
