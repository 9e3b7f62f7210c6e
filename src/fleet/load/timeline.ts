/**
 * The seconds of a run, of all processes together.
 * @module
 */
import { type Histogram, histogramOf, type Quantiles } from "./histogram.ts";
import type { Sample } from "./tally.ts";

/** One second of the whole fleet. */
export interface Moment {
  readonly second: number;
  readonly offered: number;
  readonly acked: number;
  readonly connected: number;
  readonly waiting: number;
  readonly ackMs: Quantiles;
  /** [k, deltas acknowledged after 2^(k − 1) up to 2^k µs]. */
  readonly ackOctaves: readonly (readonly [number, number])[];
  readonly versions: readonly (readonly [number, number])[];
  /** Jobs in the server's queue; null when nobody was asked or answered. */
  readonly queueDepth: number | null;
}

export class Timeline {
  readonly #processes: number;
  readonly #open = new Map<number, Sample[]>();
  readonly #queueDepth: () => number | null;
  readonly #onMoment: (moment: Moment) => void;
  readonly moments: Moment[] = [];

  constructor(options: {
    readonly processes: number;
    readonly queueDepth: () => number | null;
    readonly onMoment: (moment: Moment) => void;
  }) {
    this.#processes = options.processes;
    this.#queueDepth = options.queueDepth;
    this.#onMoment = options.onMoment;
  }

  /** A second counts when the last process has told of it. */
  add(sample: Sample): void {
    const samples = [...(this.#open.get(sample.second) ?? []), sample];
    this.#open.set(sample.second, samples);
    if (samples.length === this.#processes) this.#close(sample.second, samples);
  }

  /** Processes end at different seconds: what the others told of the last ones counts too. */
  end(): void {
    const rest = [...this.#open].sort(([a], [b]) => a - b);
    for (const [second, samples] of rest) this.#close(second, samples);
  }

  #close(second: number, samples: readonly Sample[]): void {
    this.#open.delete(second);
    const moment = momentOf(second, samples, this.#queueDepth());
    this.moments.push(moment);
    this.#onMoment(moment);
  }
}

function momentOf(second: number, samples: readonly Sample[], queueDepth: number | null): Moment {
  const sum = (pick: (sample: Sample) => number) =>
    samples.reduce((total, sample) => total + pick(sample), 0);
  const ackMs: Histogram = histogramOf(samples.map((sample) => sample.ackMs));
  const versions = new Map<number, number>();
  for (const [version, count] of samples.flatMap((sample) => sample.versions)) {
    versions.set(version, (versions.get(version) ?? 0) + count);
  }
  return {
    second,
    offered: sum((sample) => sample.offered),
    acked: sum((sample) => sample.acked),
    connected: sum((sample) => sample.connected),
    waiting: sum((sample) => sample.waiting),
    ackMs: ackMs.quantiles(),
    ackOctaves: ackMs.octaves(),
    versions: [...versions].sort(([a], [b]) => a - b),
    queueDepth,
  };
}
