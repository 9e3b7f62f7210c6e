/**
 * Streaming mean and covariance of vectors on the grid.
 *
 * The sums are integers below 2^53, so they are exact: adding in any order, and merging what was
 * summed apart, gives the same bits (as with the sums of patterns, P4). Nothing is kept of the
 * vectors themselves, and a caller that must not stall the event loop may stop after any of them.
 * @module
 */
import { assert } from "../core/index.ts";
import type { GridVector } from "../wire/index.ts";

/** A product of two int16 is at most 2^30: so many of them are summed exactly. */
const COUNT_MAX = 2 ** 22;

export class Moments {
  readonly dim: number;
  #count = 0;
  readonly #sums: Float64Array;
  /** Σ x_i · x_j for j ≥ i, at i · dim + j. */
  readonly #products: Float64Array;
  readonly #added: Float64Array;

  constructor(dim: number) {
    this.dim = dim;
    this.#sums = new Float64Array(dim);
    this.#products = new Float64Array(dim * dim);
    this.#added = new Float64Array(dim);
  }

  get count(): number {
    return this.#count;
  }

  /** Costs dim² / 2 additions: 0.06 ms for 384 dimensions. */
  add(vector: GridVector): void {
    const { dim } = this;
    assert(vector.length === dim, "the vectors have one dimension");
    this.#grow(1);
    const added = this.#added;
    const products = this.#products;
    added.set(vector);
    for (let row = 0; row < dim; row += 1) {
      const factor = added[row] as number;
      this.#sums[row] = (this.#sums[row] as number) + factor;
      if (factor === 0) continue;
      const from = row * dim;
      for (let column = row; column < dim; column += 1) {
        products[from + column] =
          (products[from + column] as number) + factor * (added[column] as number);
      }
    }
  }

  /** Adds everything that `other` has seen. */
  merge(other: Moments): void {
    assert(other.dim === this.dim, "the moments are of one dimension");
    this.#grow(other.count);
    for (let at = 0; at < this.dim; at += 1) {
      this.#sums[at] = (this.#sums[at] as number) + (other.#sums[at] as number);
    }
    for (let at = 0; at < this.#products.length; at += 1) {
      this.#products[at] = (this.#products[at] as number) + (other.#products[at] as number);
    }
  }

  #grow(count: number): void {
    this.#count += count;
    assert(this.#count <= COUNT_MAX, "the sums stay exact");
  }

  mean(): Float64Array {
    assert(this.#count > 0, "there is something to take the mean of");
    return this.#sums.map((sum) => sum / this.#count);
  }

  /** dim × dim, unbiased (divided by count − 1). */
  covariance(): Float64Array {
    assert(this.#count > 1, "two vectors or more vary");
    const { dim } = this;
    const mean = this.mean();
    const covariance = new Float64Array(dim * dim);
    for (let row = 0; row < dim; row += 1) {
      for (let column = row; column < dim; column += 1) {
        const product = this.#products[row * dim + column] as number;
        const around = product - (mean[row] as number) * (this.#sums[column] as number);
        covariance[row * dim + column] = around / (this.#count - 1);
        covariance[column * dim + row] = covariance[row * dim + column] as number;
      }
    }
    return covariance;
  }
}
