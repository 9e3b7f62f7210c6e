/**
 * Reading releases: what a device does with a snapshot or a difference.
 * @module
 */
import { limits, ProtocolError } from "../core/index.ts";
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
    new Fields(decodeCbor(raw), "release", SNAPSHOT_NAMES),
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
  const fields = new Fields(decodeCbor(raw), "release", RELEASE_DELTA_NAMES);
  const { dim, patterns: changed, trends } = decodeColumns(fields, codec);
  if (dim !== held.dim) throw new ProtocolError("release.dim", `${held.dim} became ${dim}`);
  const patterns = new Map(held.patterns.map((pattern) => [pattern.id, pattern]));
  for (const pattern of changed) patterns.set(pattern.id, pattern);
  const changedIds = new Set(changed.map((pattern) => pattern.id));
  for (const id of fields.ids(RELEASE_KEY.removals, RELEASE_PATTERNS_MAX)) {
    if (!changedIds.has(id) && patterns.delete(id)) continue;
    throw new ProtocolError("release.removals", `pattern ${id} is not there to be removed`);
  }
  // A chain of differences must not grow a release beyond what a snapshot may hold (P8).
  if (patterns.size > RELEASE_PATTERNS_MAX)
    fields.refuse(RELEASE_KEY.ids, "makes the release too large");
  return { version, dim, patterns: [...patterns.values()].sort(compareIds), trends };
}

function decodeColumns(
  fields: Fields,
  codec: Codec,
): { dim: number; patterns: ReleasePattern[]; trends: Trend[] } {
  const dim = fields.integer(RELEASE_KEY.dim, {
    min: limits.DIMENSION_MIN,
    max: limits.DIMENSION_MAX,
  });
  const ids = fields.ids(RELEASE_KEY.ids, RELEASE_PATTERNS_MAX);
  const count = { min: 0, max: RELEASE_COUNT_MAX };
  const weights = fields.integers(RELEASE_KEY.weights, ids.length, count);
  const devices = fields.integers(RELEASE_KEY.devices, ids.length, count);
  const vectors = vectorsOf(fields, ids.length, dim, codec);
  const patterns = ids.map((id, index) => ({
    id,
    weight: weights[index] as number,
    devices: devices[index] as number,
    vector: vectors[index] as GridVector,
  }));
  const trendIds = fields.ids(RELEASE_KEY.trendIds, RELEASE_TRENDS_MAX);
  const scoreRange = { min: 0, max: TREND_SCORE_MAX };
  const scores = fields.integers(RELEASE_KEY.trendScores, trendIds.length, scoreRange);
  const trends = trendIds.map((id, index) => ({ id, score: scores[index] as number }));
  if (new Set(trendIds).size < trendIds.length)
    fields.refuse(RELEASE_KEY.trendIds, "repeats an id");
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
    if (fields.has(RELEASE_KEY.coded))
      fields.refuse(RELEASE_KEY.coded, "must be left out when empty");
    return [];
  }
  const bytes = fields.bytes(RELEASE_KEY.coded, { min: 1, max: limits.BODY_BYTES_MAX });
  return codec.decode(bytes, count, dim).map((residual) => reconstruct(null, residual));
}
