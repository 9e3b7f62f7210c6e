/**
 * The content hash of rendition 1 (see content-hash.ts).
 *
 * First 8 bytes of SHA-256 over the deterministic CBOR map
 *
 *   {0: dim, 1: [ids], 2: [weights], 3: [devices], 4: vectors, 5: [trend ids], 6: [trend scores],
 *    7: [space, coarse, fine, level]}
 *
 * `vectors` are the full ones, in the release's space, int16 little-endian. Key 7
 * keeps the hashes of the two renditions apart. Rows are not in it: what they
 * mean is, so a peer that reads them differently (or holds another model under
 * the same number) is found out.
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { type CborKey, type CborValue, encodeCbor } from "../cbor.ts";
import { vectorBytes } from "../content-hash.ts";
import { idToCbor } from "../fields.ts";
import { CONTENT_HASH_BYTES } from "../header.ts";
import type { CodecModel } from "./model.ts";
import type { Release1 } from "./release1.ts";
import { vectorsOf } from "./release1-vectors.ts";

/** 8 bytes. `release` must be in order, and `model` that of its space. */
export function contentHash1(release: Release1, model: CodecModel | null): Uint8Array {
  const { dim, space, steps, patterns, trends } = release;
  const { full } = vectorsOf(release, model);
  const state = encodeCbor(
    new Map<CborKey, CborValue>([
      [0, dim],
      [1, patterns.map((pattern) => idToCbor(pattern.id))],
      [2, patterns.map((pattern) => pattern.weight)],
      [3, patterns.map((pattern) => pattern.devices)],
      [4, vectorBytes(full, dim)],
      [5, trends.map((trend) => idToCbor(trend.id))],
      [6, trends.map((trend) => trend.score)],
      [7, [space, steps.coarse, steps.fine, steps.level]],
    ]),
  );
  return sha256(state).slice(0, CONTENT_HASH_BYTES);
}
