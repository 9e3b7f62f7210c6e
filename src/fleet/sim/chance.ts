/**
 * Chance: a stream of random numbers for each thing in a world, by name.
 *
 * What one part draws must not change what another part gets; otherwise a
 * world with one fault less would be another world altogether, and no failure
 * could be made smaller.
 * @module
 */
import { type Random, seededRandom } from "../../core/index.ts";

/** The stream called `name` of the world `seed`. */
export function chanceOf(seed: number, name: string): Random {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  // FNV-1a moves its low bits least; the generator's own mixing begins one step in.
  const random = seededRandom(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0);
  random.next();
  return random;
}

/** Uniform in [min, max). */
export function between(random: Random, min: number, max: number): number {
  return min + random.next() * (max - min);
}

/** True once in 1 / `share` times. */
export function happens(random: Random, share: number): boolean {
  return random.next() < share;
}

/** One of `items`, of which there is at least one. */
export function oneOf<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random.next() * items.length)] as T;
}
