/**
 * What is varied, and between which points. Pure.
 *
 * Every point differs from the base (1,000 devices, 4 shards, 10 patterns each of a catalogue of
 * 1,000) in one number. Only the catalogue has a base of its own: to hold 100,000 patterns, a
 * thousand devices need a hundred each.
 * @module
 */

export const DIMENSIONS = ["devices", "shards", "patterns", "catalogue"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

export interface Shape {
  readonly devices: number;
  readonly shards: number;
  readonly patternsPerDevice: number;
  /** Different patterns of all devices together. */
  readonly catalogue: number;
}

export interface Point {
  readonly dimension: Dimension;
  /** The value of what is varied. */
  readonly at: number;
  readonly shape: Shape;
}

/** Of each dimension: all values, and those of a quick run. */
const VALUES: Readonly<Record<Dimension, { all: readonly number[]; quick: readonly number[] }>> = {
  devices: { all: [1_000, 10_000, 50_000], quick: [1_000, 10_000] },
  shards: { all: [1, 2, 4, 8], quick: [1, 4] },
  patterns: { all: [1, 10, 50, 100], quick: [1, 10] },
  catalogue: { all: [100, 1_000, 10_000, 100_000], quick: [100, 10_000] },
};
const BASE: Shape = { devices: 1_000, shards: 4, patternsPerDevice: 10, catalogue: 1_000 };
const PATTERNS_OF_A_CATALOGUE = 100;

export function pointsOf(dimension: Dimension, isQuick: boolean): Point[] {
  const { all, quick } = VALUES[dimension];
  return (isQuick ? quick : all).map((at) => ({ dimension, at, shape: shapeOf(dimension, at) }));
}

function shapeOf(dimension: Dimension, at: number): Shape {
  switch (dimension) {
    case "devices":
      return { ...BASE, devices: at };
    case "shards":
      return { ...BASE, shards: at };
    case "patterns":
      return { ...BASE, patternsPerDevice: at };
    case "catalogue":
      return { ...BASE, patternsPerDevice: PATTERNS_OF_A_CATALOGUE, catalogue: at };
  }
}
