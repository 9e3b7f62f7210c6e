/**
 * Rendition 1 of a release: the same patterns as rendition 0, their vectors in
 * two layers of trellis indices.
 *
 *   coarse = dequantise(layer 0, coarse step) + mean, rounded
 *   full   = dequantise(layer 0, coarse step) + dequantise(layer 1, fine step) + mean, rounded
 *
 * The coarse layer of all patterns fits one down frame of 5,120 bytes beside
 * their ids and counts, so a device can show a release after its first frame;
 * the second frame refines it. What is kept and sent are the *indices* at steps
 * fixed for the release: the trellis restarts with each vector, so a pattern's
 * rows are the same bits in any snapshot and any chain of differences (P5).
 * @module
 */
import type { Trend } from "../release.ts";

/** The coarse and the fine layer. */
export type Layers = readonly [coarse: Int16Array, fine: Int16Array];

export interface Release1Pattern {
  readonly id: string;
  /** On the grid of `roundCount`, as is `devices`. */
  readonly weight: number;
  readonly devices: number;
  /** One index per coefficient. */
  readonly layers: Layers;
}

/** How the rows of a release are coded; kept from one release to the next. */
export interface LayerSteps {
  /** Step indexes, 0 … 1023: a step is 2^(index/32) grid steps. */
  readonly coarse: number;
  readonly fine: number;
  /**
   * How far the release's own spectrum lies above the model's (or above one grid step, where there
   * is no model), in 1/32 octaves: means of many devices lie closer together than what one device
   * says, and a spectrum that is an octave off costs as much as a third of the bytes.
   */
  readonly level: number;
}

export interface Release1 {
  /** The version of rendition 0 beside it. */
  readonly version: number;
  readonly dim: number;
  /** The codec model whose space the vectors are in; 0 is none: the rotation, and the pattern domain. */
  readonly space: number;
  /** All 0 when there are no patterns. */
  readonly steps: LayerSteps;
  /** Ascending by id. */
  readonly patterns: readonly Release1Pattern[];
  /** Falling by score, then ascending by id. */
  readonly trends: readonly Trend[];
}

/** A release of which parts are still to come: some patterns have their coarse layer only. */
export interface Preview1 extends Omit<Release1, "patterns"> {
  readonly patterns: readonly PreviewPattern[];
}

export interface PreviewPattern extends Omit<Release1Pattern, "layers"> {
  readonly layers: readonly [coarse: Int16Array, fine: Int16Array | null];
}

/** The largest frame of a transition, unless the receiver asked for smaller ones. */
export const RELEASE1_FRAME_BYTES_MAX = 5_120;
