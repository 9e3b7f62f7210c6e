/**
 * What a run counts, in one process: totals, and what each second added to them.
 * @module
 */
import { Histogram, type HistogramData } from "./histogram.ts";

/** Events since the beginning; those of several processes add up. */
export interface Counts {
  /** Deltas that became due while their device was meant to be there. */
  readonly offered: number;
  readonly acked: number;
  readonly resent: number;
  /** CONNACK 0. */
  readonly connects: number;
  /** CONNACK 3. */
  readonly busy: number;
  /** CONNACK 1, 2, 4, 5. */
  readonly loginsRefused: number;
  /** Connections that ended before their CONNACK, apart from refused ones. */
  readonly connectFailures: number;
  /** Connections that the run itself cut, as its network or its scenario wants. */
  readonly cuts: number;
  /** Connections that the server ended later. */
  readonly disconnects: number;
  /** Messages on the err topic. */
  readonly refused: number;
  /** What no server should say. */
  readonly wrongAnswers: number;
  readonly downFrames: number;
  readonly downBytes: number;
  readonly upBytes: number;
}

export type CountName = keyof Counts;

/** One second of one process. */
export interface Sample {
  /** Seconds since the start of the run, from 1. */
  readonly second: number;
  readonly offered: number;
  readonly acked: number;
  readonly connected: number;
  /** Scheduled and not acknowledged. */
  readonly waiting: number;
  readonly ackMs: HistogramData;
  /** Release version and how many devices hold it. */
  readonly versions: readonly (readonly [number, number])[];
}

const NOTHING: Counts = {
  ...{ offered: 0, acked: 0, resent: 0, connects: 0, busy: 0, loginsRefused: 0 },
  ...{ connectFailures: 0, cuts: 0, disconnects: 0, refused: 0, wrongAnswers: 0 },
  ...{ downFrames: 0, downBytes: 0, upBytes: 0 },
};

export class Tally {
  readonly connectMs = new Histogram();
  readonly lateMs = new Histogram();
  readonly #ackMs = new Histogram();
  readonly #ackMsOfSecond = new Histogram();
  readonly #counts: { -readonly [Name in CountName]: number } = { ...NOTHING };
  readonly #versions = new Map<number, number>();
  #before: Counts = NOTHING;
  /** Devices with a CONNACK 0. */
  connected = 0;

  count(name: CountName, by = 1): void {
    this.#counts[name] += by;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  get ackMs(): HistogramData {
    return this.#ackMs.data();
  }

  acked(ms: number): void {
    this.#counts.acked += 1;
    this.#ackMs.add(ms);
    this.#ackMsOfSecond.add(ms);
  }

  /** A device holds version `to`, and held `from` before; null: nothing. */
  moved(from: number | null, to: number): void {
    if (from !== null) this.#versions.set(from, (this.#versions.get(from) ?? 1) - 1);
    this.#versions.set(to, (this.#versions.get(to) ?? 0) + 1);
    if (from !== null && this.#versions.get(from) === 0) this.#versions.delete(from);
  }

  /** Closes a second. */
  sample(second: number): Sample {
    const { offered, acked } = this.#counts;
    const sample = {
      second,
      offered: offered - this.#before.offered,
      acked: acked - this.#before.acked,
      connected: this.connected,
      waiting: offered - acked,
      ackMs: this.#ackMsOfSecond.data(),
      versions: [...this.#versions].sort(([a], [b]) => a - b),
    };
    this.#ackMsOfSecond.clear();
    this.#before = this.counts;
    return sample;
  }
}

export function addCounts(parts: readonly Counts[]): Counts {
  const sum: { -readonly [Name in CountName]: number } = { ...NOTHING };
  for (const part of parts) {
    for (const name of Object.keys(sum) as CountName[]) sum[name] += part[name];
  }
  return sum;
}
