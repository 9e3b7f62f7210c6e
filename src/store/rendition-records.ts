/**
 * What the backends keep of a release in both renditions, as bytes.
 *
 *   ladders  = the ladder of rendition 0 alone (its record begins with 1), or
 *              2  bytes{ladder}  1  tenant  version  contentHash  model  n{part}  n{base  n{part}}
 *   recent   = the release of rendition 0 alone (its record begins with 1), or
 *              2  bytes{release}  1  version  dim  space  coarse  fine  level  width
 *              n{id  weight  devices  width × index  width × index}  n{trend id  score}
 *
 * So what an earlier version wrote is read as it was meant, and one place holds
 * both: a gateway never sees two renditions of different versions. An index is
 * a zigzag varint, one byte below 64, and so is level. Parts are stored bodies, never compressed.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import type { Ladder1, PackedBody, Release1, Release1Pattern, Trend } from "../wire/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { CurrentLadders, RecentRelease, StoredRelease } from "./port.ts";
import { requireVersion } from "./records.ts";
import { decodeLadder, decodeRelease, encodeLadder, encodeRelease } from "./release-records.ts";

const BOTH = 2;
const LADDER1_VERSION = 1;
const RELEASE1_VERSION = 1;
const INT16_MIN = -32_768;
const INT16_MAX = 32_767;

/** What gateways read of `stored`. */
export function encodeLadders({ ladder, rendition1 }: StoredRelease): Uint8Array {
  const record = encodeLadder(ladder);
  if (rendition1 === null) return record;
  return both(record, (out) => writeLadder1(out, rendition1.ladder));
}

/** Inverse of {@link encodeLadders}; strict. */
export function decodeLadders(bytes: Uint8Array): CurrentLadders {
  if (bytes[0] !== BOTH) return { ladder: decodeLadder(bytes), ladder1: null };
  const { first, from } = split(bytes, "ladders");
  const ladder1 = readLadder1(from);
  from.end();
  return { ladder: decodeLadder(first), ladder1 };
}

/** What later releases read of `stored`. */
export function encodeRecent({ release, rendition1 }: StoredRelease): Uint8Array {
  const record = encodeRelease(release);
  if (rendition1 === null) return record;
  return both(record, (out) => writeRelease1(out, rendition1.release));
}

/** Inverse of {@link encodeRecent}; strict. */
export function decodeRecent(bytes: Uint8Array): RecentRelease {
  if (bytes[0] !== BOTH) return { release: decodeRelease(bytes), release1: null };
  const { first, from } = split(bytes, "releases");
  const release1 = readRelease1(from);
  from.end();
  return { release: decodeRelease(first), release1 };
}

function both(first: Uint8Array, write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter();
  out.byte(BOTH);
  out.bytes(first);
  write(out);
  return out.finish();
}

function split(bytes: Uint8Array, what: string): { first: Uint8Array; from: ByteReader } {
  const from = new ByteReader(bytes, what);
  requireVersion(from, BOTH);
  return { first: from.bytes(), from };
}

function writeLadder1(out: ByteWriter, ladder: Ladder1): void {
  out.byte(LADDER1_VERSION);
  out.text(ladder.tenant);
  out.varint(ladder.version);
  out.bytes(ladder.contentHash);
  out.varint(ladder.model);
  writeParts(out, ladder.snapshot);
  out.varint(ladder.deltas.size);
  for (const [base, parts] of ladder.deltas) {
    out.varint(base);
    writeParts(out, parts);
  }
}

function readLadder1(from: ByteReader): Ladder1 {
  requireVersion(from, LADDER1_VERSION);
  const tenant = from.text();
  const version = from.varint();
  const contentHash = from.bytes();
  const model = from.varint();
  const snapshot = readParts(from);
  const deltas = new Map<number, readonly PackedBody[]>();
  for (let left = from.count(2); left > 0; left -= 1) {
    const base = from.varint();
    if (deltas.has(base)) throw from.wrong("record.range", `has base ${base} twice`);
    deltas.set(base, readParts(from));
  }
  return { tenant, version, contentHash, model, snapshot, deltas };
}

function writeParts(out: ByteWriter, parts: readonly PackedBody[]): void {
  out.varint(parts.length);
  for (const { compressed, bytes } of parts) {
    if (compressed) throw new SerializationError("record.flags", "a part must not be compressed");
    out.bytes(bytes);
  }
}

function readParts(from: ByteReader): PackedBody[] {
  const parts: PackedBody[] = [];
  for (let left = from.count(1); left > 0; left -= 1) {
    parts.push({ compressed: false, bytes: from.bytes() });
  }
  return parts;
}

function writeRelease1(out: ByteWriter, release: Release1): void {
  const width = release.patterns[0]?.layers[0].length ?? 0;
  out.byte(RELEASE1_VERSION);
  for (const value of [release.version, release.dim, release.space]) out.varint(value);
  out.varint(release.steps.coarse);
  out.varint(release.steps.fine);
  writeSigned(out, release.steps.level);
  out.varint(width);
  out.varint(release.patterns.length);
  for (const { id, weight, devices, layers } of release.patterns) {
    out.text(id);
    out.varint(weight);
    out.varint(devices);
    for (const layer of layers) writeLayer(out, layer, width);
  }
  out.varint(release.trends.length);
  for (const { id, score } of release.trends) {
    out.text(id);
    out.varint(score);
  }
}

function readRelease1(from: ByteReader): Release1 {
  requireVersion(from, RELEASE1_VERSION);
  const version = from.varint();
  const dim = from.varint();
  const space = from.varint();
  const steps = { coarse: from.varint(), fine: from.varint(), level: readSigned(from) };
  const width = from.varint();
  const patterns: Release1Pattern[] = [];
  for (let left = from.count(3 + 2 * width); left > 0; left -= 1) {
    patterns.push({
      id: from.text(),
      weight: from.varint(),
      devices: from.varint(),
      layers: [readLayer(from, width), readLayer(from, width)],
    });
  }
  const trends: Trend[] = [];
  for (let left = from.count(2); left > 0; left -= 1) {
    trends.push({ id: from.text(), score: from.varint() });
  }
  if (patterns.length === 0 && width > 0)
    throw from.wrong("record.range", "has a width of nothing");
  return { version, dim, space, steps, patterns, trends };
}

function writeLayer(out: ByteWriter, layer: Int16Array, width: number): void {
  if (layer.length !== width) {
    throw new SerializationError(
      "record.dimension",
      `the layers of a release must all have ${width} indices: got ${layer.length}`,
    );
  }
  for (const index of layer) writeSigned(out, index);
}

function readLayer(from: ByteReader, width: number): Int16Array {
  const layer = new Int16Array(width);
  for (let at = 0; at < width; at += 1) layer[at] = readSigned(from);
  return layer;
}

function writeSigned(out: ByteWriter, value: number): void {
  out.varint(value < 0 ? -2 * value - 1 : 2 * value);
}

/** An int16. */
function readSigned(from: ByteReader): number {
  const zigzag = from.varint();
  const value = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  if (value >= INT16_MIN && value <= INT16_MAX) return value;
  throw from.wrong("record.range", `has ${value} for an int16`);
}
