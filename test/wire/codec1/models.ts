/**
 * Codec models for tests: a random rotation, a spectrum that falls, a mean.
 * @module
 */
import { type Random, seededRandom } from "../../../src/core/index.ts";
import { type CodecModel, decodeModel, encodeModel } from "../../../src/wire/codec1/model.ts";

/** A normal deviate (Box and Muller, 1958). */
export function gaussian(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

/** dim × dim with orthonormal rows: Gram–Schmidt, twice, of normal deviates. */
export function randomBasis(dim: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const rows = Array.from({ length: dim }, () =>
    Float64Array.from({ length: dim }, () => gaussian(random)),
  );
  for (const [index, row] of rows.entries()) {
    for (const above of [...rows.slice(0, index), ...rows.slice(0, index)]) {
      const share = dot(row, above);
      for (let at = 0; at < dim; at += 1) {
        row[at] = (row[at] as number) - share * (above[at] as number);
      }
    }
    const length = Math.sqrt(dot(row, row));
    for (let at = 0; at < dim; at += 1) row[at] = (row[at] as number) / length;
  }
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** A model as its trainer has it, before publication rounds the basis. */
export function learntModel(dim: number, version = 1): CodecModel {
  const random = seededRandom(version * 1000 + dim);
  return {
    version,
    dim,
    mean: Int16Array.from({ length: dim }, () => Math.round(400 * gaussian(random))),
    spectrum: Int16Array.from({ length: dim }, (_, at) =>
      Math.max(0, 370 - 40 * Math.log2(at + 4)),
    ),
    basis: randomBasis(dim, version),
  };
}

/** A model as every peer holds it. */
export function heldModel(dim: number, version = 1): CodecModel {
  return decodeModel(encodeModel(learntModel(dim, version)));
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] as number) * (b[at] as number);
  return sum;
}

export function rowOf(model: CodecModel, row: number): Float32Array {
  return model.basis.subarray(row * model.dim, (row + 1) * model.dim);
}

/** The largest entry of |B Bᵀ − I|. */
export function departure(model: CodecModel): number {
  let largest = 0;
  for (let i = 0; i < model.dim; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      const product = dot(rowOf(model, i), rowOf(model, j)) - (i === j ? 1 : 0);
      largest = Math.max(largest, Math.abs(product));
    }
  }
  return largest;
}
