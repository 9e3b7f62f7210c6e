/**
 * Deltas: what changed on one device, and the pull that asks for news.
 *
 * The body is a CBOR map of columns; an empty column is left out:
 *
 *   0 dim      1 ids       2 weights   3 success ‰   4 samples
 *   5 updated  6 refs      7 coded     8 removals
 *
 * With codec 1 all of them but dim and coded are packed into one: 9 columns
 * (codec1/delta-columns.ts).
 *
 * `refs` says what each coded vector is: 0 an embedding, +n the difference to
 * what this device wrote to that pattern at seq n, −n no vector at all because
 * the embedding written at seq n still stands. Counts are absolute, so a
 * redelivered delta changes nothing (P2).
 * @module
 */
import type { CodingMode, GridVector, Residual } from "./grid.ts";
import type { FrameHeader } from "./header.ts";

export type UpsertEmbedding =
  | { readonly mode: "absolute"; readonly target: GridVector }
  | {
      readonly mode: "difference";
      readonly target: GridVector;
      /** What the server's register holds, bit for bit (P6). */
      readonly reference: GridVector;
      /** The space that the reference is in; 0, the pattern's own coordinates, when left out. */
      readonly referenceSpace?: number;
      /** The seq at which this device wrote that register, in this epoch. */
      readonly referenceSeq: number;
    }
  | { readonly mode: "kept"; readonly referenceSeq: number };

export interface Upsert {
  readonly id: string;
  /** Integer, 1–1023. */
  readonly weight: number;
  /** 0–1; travels in thousandths. */
  readonly success: number;
  /** Integer, 0–2^32 − 1; a total, not an increment. */
  readonly samples: number;
  /** Unix seconds, integer, 0–2^40. */
  readonly updatedAtS: number;
  readonly embedding: UpsertEmbedding;
}

export interface DeltaContent {
  readonly dim: number;
  /** Each id occurs once in upserts and removals together; 1–256 items in all. */
  readonly upserts: readonly Upsert[];
  readonly removals: readonly string[];
}

export interface EncodedDelta {
  readonly frame: Uint8Array;
  /** Which coordinates the reconstructions are in: 0 the pattern's own, else that codec model's. */
  readonly space: number;
  /** What the server's registers will hold, for each upsert that carries a vector. */
  readonly reconstructions: ReadonlyMap<string, GridVector>;
  /** Σ‖target − reconstruction‖² / Σ‖target‖² over those vectors; 0 without any (P7). */
  readonly nmse: number;
  /** Bytes of those embeddings as float32: what the wire saves against. */
  readonly rawBytes: number;
}

export interface DecodedUpsert {
  readonly id: string;
  readonly weight: number;
  readonly success: number;
  readonly samples: number;
  readonly updatedAtS: number;
  readonly mode: UpsertEmbedding["mode"];
  /** 0 for an absolute one. */
  readonly referenceSeq: number;
  /** Grid steps; null when kept. Give it to `reconstruct`. */
  readonly residual: Residual | null;
}

export type DeltaHeader = Extract<FrameHeader, { kind: "delta" }>;

export interface DecodedDelta {
  readonly header: DeltaHeader;
  readonly dim: number;
  /** Which coordinates the residuals are in: 0 the pattern's own, else that codec model's. */
  readonly space: number;
  readonly mode: CodingMode;
  readonly upserts: readonly DecodedUpsert[];
  readonly removals: readonly string[];
}

export const SAMPLES_MAX = 2 ** 32 - 1;
export const UPDATED_AT_S_MAX = 2 ** 40;
export const PERMILLE = 1000;
/** The columns, by key. */
export const DELTA_KEY = {
  dim: 0,
  ids: 1,
  weights: 2,
  success: 3,
  samples: 4,
  updatedAt: 5,
  refs: 6,
  coded: 7,
  removals: 8,
  columns: 9,
} as const;
/** The columns of codec 0, as reasons name them. */
export const DELTA_NAMES = {
  0: "dim",
  1: "ids",
  2: "weights",
  3: "success",
  4: "samples",
  5: "updated-at",
  6: "refs",
  7: "coded",
  8: "removals",
} as const;
/** The columns of codec 1. */
export const DELTA1_NAMES = { 0: "dim", 7: "coded", 9: "columns" } as const;
