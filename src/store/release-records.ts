/**
 * What the backends keep of releases, as bytes: the release itself (the base of
 * later ladders) and the ladder that gateways serve.
 *
 *   release = 1  version  dim  n{id  weight  devices  dim × int16 LE}  n{id  score}
 *   ladder  = 1  tenant  version  contentHash  codec  body  n{base  body}
 *   body    = flags(1 compressed)  bytes
 *
 * Vectors are grid integers and are kept exactly: a ladder built after a restart
 * must be bit-identical to one built before it (P5).
 * @module
 */
import { SerializationError } from "../core/index.ts";
import type { Ladder, PackedBody, Release, ReleasePattern, Trend } from "../wire/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { requireVersion } from "./records.ts";

const RELEASE_VERSION = 1;
const LADDER_VERSION = 1;
const FLAG_COMPRESSED = 1;

/** Throws `SerializationError("record.*")` on numbers out of range or a vector of another dimension. */
export function encodeRelease(release: Release): Uint8Array {
  const out = new ByteWriter();
  out.byte(RELEASE_VERSION);
  out.varint(release.version);
  out.varint(release.dim);
  out.varint(release.patterns.length);
  for (const pattern of release.patterns) {
    if (pattern.vector.length !== release.dim) {
      throw new SerializationError(
        "record.dimension",
        `a vector of a release must have dim ${release.dim}: got ${pattern.vector.length}`,
      );
    }
    out.text(pattern.id);
    out.varint(pattern.weight);
    out.varint(pattern.devices);
    out.raw(vectorBytes(pattern.vector));
  }
  out.varint(release.trends.length);
  for (const trend of release.trends) {
    out.text(trend.id);
    out.varint(trend.score);
  }
  return out.finish();
}

/** Inverse of {@link encodeRelease}; strict. */
export function decodeRelease(bytes: Uint8Array): Release {
  const from = new ByteReader(bytes, "release");
  requireVersion(from, RELEASE_VERSION);
  const version = from.varint();
  const dim = from.varint();
  const patterns: ReleasePattern[] = [];
  for (let left = from.count(3 + 2 * dim); left > 0; left -= 1) {
    patterns.push({
      id: from.text(),
      weight: from.varint(),
      devices: from.varint(),
      vector: readVector(from, dim),
    });
  }
  const trends: Trend[] = [];
  for (let left = from.count(2); left > 0; left -= 1) {
    trends.push({ id: from.text(), score: from.varint() });
  }
  from.end();
  return { version, dim, patterns, trends };
}

/** Throws `SerializationError("record.integer")` on a number that is not 0 … 2^53 − 1. */
export function encodeLadder(ladder: Ladder): Uint8Array {
  const out = new ByteWriter();
  out.byte(LADDER_VERSION);
  out.text(ladder.tenant);
  out.varint(ladder.version);
  out.bytes(ladder.contentHash);
  out.varint(ladder.codec);
  writeBody(out, ladder.snapshot);
  out.varint(ladder.deltas.size);
  for (const [base, body] of ladder.deltas) {
    out.varint(base);
    writeBody(out, body);
  }
  return out.finish();
}

/** Inverse of {@link encodeLadder}; strict. */
export function decodeLadder(bytes: Uint8Array): Ladder {
  const from = new ByteReader(bytes, "ladder");
  requireVersion(from, LADDER_VERSION);
  const tenant = from.text();
  const version = from.varint();
  const contentHash = from.bytes();
  const codec = from.varint();
  const snapshot = readBody(from);
  const deltas = new Map<number, PackedBody>();
  for (let left = from.count(3); left > 0; left -= 1) {
    const base = from.varint();
    if (deltas.has(base)) throw from.wrong("record.range", `has base ${base} twice`);
    deltas.set(base, readBody(from));
  }
  from.end();
  return { tenant, version, contentHash, codec, snapshot, deltas };
}

function vectorBytes(vector: Int16Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(vector.length * 2);
  for (let index = 0; index < vector.length; index += 1) {
    bytes.writeInt16LE(vector[index] as number, index * 2);
  }
  return bytes;
}

function readVector(from: ByteReader, dim: number): Int16Array {
  const bytes = from.raw(dim * 2);
  const view = new DataView(bytes.buffer);
  const vector = new Int16Array(dim);
  for (let index = 0; index < dim; index += 1) vector[index] = view.getInt16(index * 2, true);
  return vector;
}

function writeBody(out: ByteWriter, body: PackedBody): void {
  out.byte(body.compressed ? FLAG_COMPRESSED : 0);
  out.bytes(body.bytes);
}

function readBody(from: ByteReader): PackedBody {
  const flags = from.byte();
  if (flags & ~FLAG_COMPRESSED) throw from.wrong("record.flags", `has unknown flags ${flags}`);
  return { compressed: flags === FLAG_COMPRESSED, bytes: from.bytes() };
}
