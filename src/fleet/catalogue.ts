/**
 * The public catalogue: items and their vectors, made without a language model.
 *
 * vector(i) = norm(√½ · hashed(genres, decade, year, title words) + √½ · hash(id)):
 * half of an item is what it is like, half is that it is itself, so that items
 * of one genre lie near each other and no two coincide. Feature hashing with
 * signs is Weinberger et al., "Feature Hashing for Large Scale Multitask
 * Learning" (ICML 2009). Every TV computes the same vectors from the same
 * public list, so no item vector ever travels.
 * @module
 */
import { seededRandom } from "../core/index.ts";

export interface Item {
  readonly id: string;
  readonly title: string;
  /** 0 when unknown. */
  readonly year: number;
  readonly genres: readonly string[];
}

export interface Catalogue {
  readonly items: readonly Item[];
  readonly dim: number;
  /** items × dim, row-major, every row of norm 1. */
  readonly vectors: Float32Array;
}

/** Row `index` of the catalogue's matrix, as a view. */
export function itemVector(catalogue: Catalogue, index: number): Float32Array {
  return catalogue.vectors.subarray(index * catalogue.dim, (index + 1) * catalogue.dim);
}

/** Vectors of `dim` (≥ 8) numbers for all items. Cost is linear; 10,000 items of 384 take well under a second. */
export function makeCatalogue(items: readonly Item[], dim: number): Catalogue {
  const vectors = new Float32Array(items.length * dim);
  for (const [index, item] of items.entries()) {
    const row = vectors.subarray(index * dim, (index + 1) * dim);
    addScaled(row, hashedFeatures(featuresOf(item), dim), Math.SQRT1_2);
    addScaled(row, randomDirection(`id:${item.id}`, dim), Math.SQRT1_2);
    normalise(row);
  }
  return { items, dim, vectors };
}

function featuresOf(item: Item): string[] {
  const words = item.title.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
  const time = item.year > 0 ? [`year:${item.year}`, `decade:${Math.floor(item.year / 10)}`] : [];
  // A genre weighs more than a word of the title: it is entered three times, under three hashes.
  const genres = item.genres.flatMap((genre) => [1, 2, 3].map((copy) => `genre:${genre}:${copy}`));
  return [...genres, ...time, ...words.map((word) => `word:${word}`)];
}

function hashedFeatures(features: readonly string[], dim: number): Float32Array {
  const sum = new Float32Array(dim);
  for (const feature of features) addScaled(sum, randomDirection(feature, dim), 1);
  normalise(sum);
  return sum;
}

const directions = new Map<string, Float32Array>();
const DIRECTIONS_MAX = 50_000;

/** A unit vector of ±1/√dim, the same for the same name on every machine. */
function randomDirection(name: string, dim: number): Float32Array {
  const key = `${dim}:${name}`;
  const known = directions.get(key);
  if (known !== undefined) return known;
  const random = seededRandom(fnv1a(name));
  const magnitude = 1 / Math.sqrt(dim);
  const direction = Float32Array.from({ length: dim }, () =>
    random.next() < 0.5 ? -magnitude : magnitude,
  );
  if (directions.size < DIRECTIONS_MAX && !name.startsWith("id:")) directions.set(key, direction);
  return direction;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

export function addScaled(into: Float32Array, vector: Float32Array, factor: number): void {
  for (let index = 0; index < into.length; index += 1) {
    into[index] = (into[index] ?? 0) + factor * (vector[index] ?? 0);
  }
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}

/** Scales to norm 1 in place; the zero vector stays zero. */
export function normalise(vector: Float32Array): void {
  const norm = Math.sqrt(dot(vector, vector));
  if (norm > 0) {
    for (let index = 0; index < vector.length; index += 1) {
      vector[index] = (vector[index] ?? 0) / norm;
    }
  }
}
