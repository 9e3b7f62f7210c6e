/**
 * A histogram of durations that costs the same for a thousand samples and for a billion.
 *
 * After HdrHistogram (Gil Tene, hdrhistogram.org): microseconds up to 64 have a
 * bucket each, every octave above is cut into 64 equal ones, so no value is
 * told more than 1/64 too high. Buckets add up, which is how the histograms of
 * seconds become that of a run, and those of processes that of a fleet.
 * @module
 */

const BUCKETS_PER_OCTAVE = 64;
const OCTAVE_BITS = 6;
/** An hour and eleven minutes; what is longer counts as this long, but for `maxMs`. */
const MICROS_MAX = 2 ** 32 - 1;
const BUCKETS = (32 - OCTAVE_BITS + 1) * BUCKETS_PER_OCTAVE;
const MICROS_PER_MS = 1_000;

/** A histogram as plain data: pairs of bucket and count, one after the other, ascending by bucket. */
export interface HistogramData {
  readonly buckets: readonly number[];
  readonly maxMs: number;
}

export interface Quantiles {
  readonly count: number;
  /** Milliseconds, like all that follow. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  /** `ms` below 0 counts as 0. */
  add(ms: number): void {
    const micros = Math.min(MICROS_MAX, Math.max(0, Math.round(ms * MICROS_PER_MS)));
    const bucket = bucketOf(micros);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count += 1;
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  merge({ buckets, maxMs }: HistogramData): void {
    for (let at = 0; at + 1 < buckets.length; at += 2) {
      const [bucket, count] = [buckets[at] as number, buckets[at + 1] as number];
      this.#counts[bucket] = (this.#counts[bucket] as number) + count;
      this.#count += count;
    }
    this.#maxMs = Math.max(this.#maxMs, maxMs);
  }

  /** The nearest-rank quantile, milliseconds: never below the true one, at most 1/64 above; 0 without samples. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      seen += this.#counts[bucket] as number;
      if (seen >= rank) return Math.min(this.#maxMs, highestMicros(bucket) / MICROS_PER_MS);
    }
    return this.#maxMs;
  }

  quantiles(): Quantiles {
    const rounded = (ms: number) => Math.round(ms * 1_000) / 1_000;
    return {
      count: this.#count,
      p50: rounded(this.quantile(0.5)),
      p90: rounded(this.quantile(0.9)),
      p99: rounded(this.quantile(0.99)),
      p999: rounded(this.quantile(0.999)),
      max: rounded(this.#maxMs),
    };
  }

  /** How many samples lie in each octave: [k, count] for those of 2^(k − 1) up to 2^k µs, ascending. */
  octaves(): (readonly [number, number])[] {
    const counts = new Map<number, number>();
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const count = this.#counts[bucket] as number;
      const octave = 32 - Math.clz32(highestMicros(bucket));
      if (count > 0) counts.set(octave, (counts.get(octave) ?? 0) + count);
    }
    return [...counts];
  }

  data(): HistogramData {
    const buckets: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const count = this.#counts[bucket] as number;
      if (count > 0) buckets.push(bucket, count);
    }
    return { buckets, maxMs: this.#maxMs };
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#maxMs = 0;
  }
}

/** The sum of some histograms. */
export function histogramOf(parts: readonly HistogramData[]): Histogram {
  const sum = new Histogram();
  for (const part of parts) sum.merge(part);
  return sum;
}

function bucketOf(micros: number): number {
  if (micros < BUCKETS_PER_OCTAVE) return micros;
  const shift = 31 - Math.clz32(micros) - OCTAVE_BITS;
  return shift * BUCKETS_PER_OCTAVE + (micros >>> shift);
}

function highestMicros(bucket: number): number {
  if (bucket < BUCKETS_PER_OCTAVE) return bucket;
  const shift = Math.floor(bucket / BUCKETS_PER_OCTAVE) - 1;
  const lead = (bucket % BUCKETS_PER_OCTAVE) + BUCKETS_PER_OCTAVE;
  return (lead + 1) * 2 ** shift - 1;
}
