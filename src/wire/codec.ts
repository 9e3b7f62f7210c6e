/**
 * Codecs: how a column of integer vectors becomes bytes.
 *
 * A codec is lossy on the way in and exact on the way out: `decode` is integer
 * arithmetic only, so both ends of the wire hold the same numbers. Its id
 * stands in the frame header; an id never changes meaning.
 * @module
 */
import type { Residual } from "./grid.ts";

export interface CodedVectors {
  readonly bytes: Uint8Array;
  /** What `decode` will return, one per input vector, grid steps. */
  readonly decoded: Int32Array[];
  /** Σ‖x − x̂‖² / Σ‖x‖² over all input vectors; 0 when they are all zero (P7). */
  readonly nmse: number;
}

/** Vectors are in grid steps, each component within ±65,535, all of length `dim`. */
export interface Codec {
  /** 0–255, as in header key 6. */
  readonly id: number;
  readonly name: string;
  /**
   * A vector that came out of `decode` goes in and out again unchanged, so that a release coded
   * twice stays bit-identical (P5).
   */
  encode(residuals: readonly Int32Array[], dim: number): CodedVectors;
  /** Throws `ProtocolError("codec.…")` unless `bytes` are exactly `count` vectors. Each has memory of its own. */
  decode(bytes: Uint8Array, count: number, dim: number): Residual[];
}
