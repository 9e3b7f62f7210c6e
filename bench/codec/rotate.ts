/**
 * A seeded random rotation for the baselines, for any dimension and without padding.
 *
 * Four rounds of random signs, a random shuffle and the Walsh–Hadamard transform
 * of the largest power of two that fits; what one round leaves out, others mix.
 * It is our own and not the product's, so that a fault there cannot flatter the
 * comparison.
 * @module
 */
import { integerBelow, seededRandom } from "../../src/core/index.ts";

const ROUNDS = 4;

export interface Rotation {
  /** In place. */
  forward(vector: Float64Array): void;
  /** In place; undoes `forward`. */
  inverse(vector: Float64Array): void;
}

interface Round {
  readonly signs: Float64Array;
  readonly order: Uint16Array;
}

/** The rotation of `dim` components that `seed` names. */
export function rotationOf(dim: number, seed: number): Rotation {
  const random = seededRandom(seed);
  const rounds = Array.from({ length: ROUNDS }, (): Round => {
    const signs = Float64Array.from({ length: dim }, () => (random.next() < 0.5 ? -1 : 1));
    const order = Uint16Array.from({ length: dim }, (_, at) => at);
    for (let last = dim - 1; last > 0; last -= 1) {
      const other = integerBelow(random, last + 1);
      const kept = order[last] as number;
      order[last] = order[other] as number;
      order[other] = kept;
    }
    return { signs, order };
  });
  const size = 2 ** Math.floor(Math.log2(dim));
  const scratch = new Float64Array(dim);
  return {
    forward(vector) {
      for (const { signs, order } of rounds) {
        for (let at = 0; at < dim; at += 1) {
          const from = order[at] as number;
          scratch[at] = (vector[from] as number) * (signs[from] as number);
        }
        hadamard(scratch, size);
        vector.set(scratch);
      }
    },
    inverse(vector) {
      for (const { signs, order } of [...rounds].reverse()) {
        hadamard(vector, size);
        scratch.set(vector);
        for (let at = 0; at < dim; at += 1) {
          const from = order[at] as number;
          vector[from] = (scratch[at] as number) * (signs[from] as number);
        }
      }
    },
  };
}

/** The orthonormal Walsh–Hadamard transform of the first `size` components, its own inverse. */
function hadamard(vector: Float64Array, size: number): void {
  for (let half = 1; half < size; half *= 2) {
    for (let start = 0; start < size; start += 2 * half) {
      for (let at = start; at < start + half; at += 1) {
        const a = vector[at] as number;
        const b = vector[at + half] as number;
        vector[at] = a + b;
        vector[at + half] = a - b;
      }
    }
  }
  const factor = 1 / Math.sqrt(size);
  for (let at = 0; at < size; at += 1) vector[at] = (vector[at] as number) * factor;
}
