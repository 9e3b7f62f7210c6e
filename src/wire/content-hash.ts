/**
 * The content hash: eight bytes by which a device proves that it holds a
 * release bit for bit, however it got there (P5).
 *
 * First 8 bytes of SHA-256 over the deterministic CBOR map
 *
 *   {0: dim, 1: [ids], 2: [weights], 3: [devices], 4: vectors, 5: [trend ids], 6: [trend scores]}
 *
 * with every key present, `vectors` the grid values as int16 little-endian one
 * pattern after the other. The version is left out: equal content, equal hash.
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { type CborKey, type CborValue, encodeCbor } from "./cbor.ts";
import { idToCbor } from "./fields.ts";
import type { GridVector } from "./grid.ts";
import { CONTENT_HASH_BYTES } from "./header.ts";
import { compareIds, compareTrends, type Release } from "./release.ts";

const COMPONENT_BYTES = 2;

/** 8 bytes; the order of `patterns` and `trends` does not matter. Weights must be integers. */
export function contentHash(release: Release): Uint8Array {
  const patterns = [...release.patterns].sort(compareIds);
  const trends = [...release.trends].sort(compareTrends);
  const state = encodeCbor(
    new Map<CborKey, CborValue>([
      [0, release.dim],
      [1, patterns.map((pattern) => idToCbor(pattern.id))],
      [2, patterns.map((pattern) => pattern.weight)],
      [3, patterns.map((pattern) => pattern.devices)],
      [
        4,
        vectorBytes(
          patterns.map((pattern) => pattern.vector),
          release.dim,
        ),
      ],
      [5, trends.map((trend) => idToCbor(trend.id))],
      [6, trends.map((trend) => trend.score)],
    ]),
  );
  return sha256(state).slice(0, CONTENT_HASH_BYTES);
}

/** Every component as int16 little-endian, vector after vector. */
export function vectorBytes(vectors: readonly GridVector[], dim: number): Uint8Array {
  const bytes = new Uint8Array(vectors.length * dim * COMPONENT_BYTES);
  let at = 0;
  for (const vector of vectors) {
    for (let index = 0; index < vector.length; index += 1) {
      const component = vector[index] as number;
      bytes[at] = component & 0xff;
      bytes[at + 1] = (component >> 8) & 0xff;
      at += COMPONENT_BYTES;
    }
  }
  return bytes;
}
