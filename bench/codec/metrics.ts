/**
 * How well vectors survived: cosine, normalised error, and whether neighbours stay neighbours.
 * @module
 */

export interface Fidelity {
  readonly count: number;
  /** Σ over vectors; divide by `count`. */
  readonly cosine: number;
  /** Σ of ‖x − x̂‖² / ‖x‖². */
  readonly nmse: number;
  /** Σ ‖x − x̂‖². */
  readonly error: number;
  /** Σ ‖x − mean‖². */
  readonly spread: number;
}

/** Compares rows of `truth` with rows of `decoded`. */
export function fidelityOf(
  truth: Float32Array,
  decoded: Float32Array,
  mean: Float64Array,
): Fidelity {
  const dim = mean.length;
  const sums = { count: truth.length / dim, cosine: 0, nmse: 0, error: 0, spread: 0 };
  for (let start = 0; start < truth.length; start += dim) {
    let dot = 0;
    let energy = 0;
    let decodedEnergy = 0;
    let error = 0;
    let spread = 0;
    for (let j = 0; j < dim; j += 1) {
      const x = truth[start + j] as number;
      const y = decoded[start + j] as number;
      dot += x * y;
      energy += x * x;
      decodedEnergy += y * y;
      error += (x - y) ** 2;
      spread += (x - (mean[j] as number)) ** 2;
    }
    sums.cosine += decodedEnergy === 0 ? 0 : dot / Math.sqrt(energy * decodedEnergy);
    sums.nmse += error / energy;
    sums.error += error;
    sums.spread += spread;
  }
  return sums;
}

export function addFidelity(a: Fidelity, b: Fidelity): Fidelity {
  return {
    count: a.count + b.count,
    cosine: a.cosine + b.cosine,
    nmse: a.nmse + b.nmse,
    error: a.error + b.error,
    spread: a.spread + b.spread,
  };
}

const NEIGHBOURS = 10;

/**
 * The mean share of the 10 rows of `truth` nearest to a query by cosine that are also among the 10
 * nearest rows of `decoded`.
 */
export function recallAt10(
  truth: Float32Array,
  decoded: Float32Array,
  queries: Float32Array,
  dim: number,
): number {
  const lengths = rowLengths(decoded, dim);
  const trueLengths = rowLengths(truth, dim);
  let hits = 0;
  for (let start = 0; start < queries.length; start += dim) {
    const query = queries.subarray(start, start + dim);
    const wanted = new Set(nearest(query, truth, trueLengths));
    for (const row of nearest(query, decoded, lengths)) if (wanted.has(row)) hits += 1;
  }
  return hits / ((queries.length / dim) * NEIGHBOURS);
}

function nearest(query: Float32Array, rows: Float32Array, lengths: Float64Array): number[] {
  const dim = query.length;
  const scores = lengths.map((length, row) => {
    let dot = 0;
    for (let j = 0; j < dim; j += 1) dot += (query[j] as number) * (rows[row * dim + j] as number);
    return length === 0 ? 0 : dot / length;
  });
  const order = Array.from(scores.keys());
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number));
  return order.slice(0, NEIGHBOURS);
}

function rowLengths(rows: Float32Array, dim: number): Float64Array {
  const lengths = new Float64Array(rows.length / dim);
  for (let at = 0; at < rows.length; at += 1) {
    const row = Math.floor(at / dim);
    lengths[row] = (lengths[row] as number) + (rows[at] as number) ** 2;
  }
  return lengths.map(Math.sqrt);
}
