/**
 * What a run measured: exact counts and exact percentiles of every sample.
 * @module
 */

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Keeps every sample; a demo or a test has thousands, not billions. */
export class Samples {
  readonly #values: number[] = [];
  #total = 0;

  add(value: number): void {
    this.#values.push(value);
    this.#total += value;
  }

  get count(): number {
    return this.#values.length;
  }

  get total(): number {
    return this.#total;
  }

  /** Nearest-rank percentiles (NIST/SEMATECH e-Handbook 7.2.6.2); all 0 when there is no sample. */
  percentiles(): Percentiles {
    const sorted = [...this.#values].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
  }
}

export interface Scoreboard {
  /** Distinct (device, epoch, seq) with a PUBACK. */
  acked: number;
  /** Bytes of the acked deltas' embeddings as float32, and of their frames. */
  rawBytes: number;
  readonly pushBytes: Samples;
  /** Of every frame that brought a release or a part of one. */
  readonly pullBytes: Samples;
  readonly ackMs: Samples;
  refused: number;
}

export function newScoreboard(): Scoreboard {
  return {
    acked: 0,
    rawBytes: 0,
    pushBytes: new Samples(),
    pullBytes: new Samples(),
    ackMs: new Samples(),
    refused: 0,
  };
}
