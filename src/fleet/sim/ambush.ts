/**
 * Ambushes: trouble that waits for the worst moment.
 *
 * Most that can go wrong goes wrong between two steps a millisecond apart,
 * which chance alone would hit once in ten thousand worlds.
 * @module
 */
import type { Timeline } from "./timeline.ts";

/** The steps at which something can lie in wait. */
export type Step =
  /** A device has handed a frame to its link. */
  | "publish"
  /** A gateway's batch is in the queue, and the answer is not on its way yet. */
  | "added"
  /** A commit leaves its writer. */
  | "commit"
  /** A commit is kept, and the answer is not on its way yet. */
  | "committed"
  /** A writer asks for the devices of a batch. */
  | "loadDevices";

interface Waiting {
  readonly machine: string;
  readonly step: Step;
  readonly act: () => void;
}

export class Ambush {
  readonly #timeline: Timeline;
  #waiting: Waiting[] = [];

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Waits for `machine` to come to `step`; once. */
  lay(machine: string, step: Step, act: () => void): void {
    this.#waiting.push({ machine, step, act });
  }

  /** The process `life` comes to `step`; what waits there happens before anything else. */
  meet(life: string, step: Step): void {
    const index = this.#waiting.findIndex((waiting) => {
      return waiting.step === step && life.startsWith(waiting.machine);
    });
    const [met] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (met !== undefined) this.#timeline.after(0, met.act);
  }

  clear(): void {
    this.#waiting = [];
  }
}
