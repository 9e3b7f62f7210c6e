/**
 * Rounds of work at a steady pace: one at a time, on a clock, until stopped.
 *
 *   idle ──start──▶ running: round, wait 0.9–1.1 of the cadence, round … ──stop──▶ stopped
 *
 * What is asked for between two rounds takes its turn among them. Whatever goes
 * wrong in a round is its own affair: a round must not reject.
 * @module
 */
import { assert, type Clock, type Random, type Timer } from "../core/index.ts";
import { persist } from "./persist.ts";

export interface RoundsOptions {
  /** Whose rounds they are. */
  readonly name: string;
  /** From the end of one round to the next, milliseconds; each wait is 0.9–1.1 of it. */
  readonly cadenceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Never rejects, and ends soon once `signal` has aborted. */
  readonly round: () => Promise<void>;
}

export class Rounds {
  readonly #options: RoundsOptions;
  readonly #ended = new AbortController();
  #phase: "idle" | "running" | "stopped" = "idle";
  #timer: Timer | null = null;
  /** The work under way; never rejects. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** Aborts at the stop. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Begins with a round, or with a wait. */
  start(first: "round" | "wait"): void {
    assert(this.#phase === "idle", `a ${this.#options.name} starts once`);
    this.#phase = "running";
    if (first === "round") this.#round();
    else this.#later();
  }

  /** Resolves when the work under way has ended. Idempotent. */
  async stop(): Promise<void> {
    this.#phase = "stopped";
    this.#timer?.cancel();
    this.#ended.abort(new Error(`the ${this.#options.name} stops`));
    await this.#turn;
  }

  /** Runs `work`, which never rejects, after what is under way. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result;
    return result;
  }

  /** A call to the store that does no harm twice, as often as it takes; rejects at the stop. */
  persist<Result>(
    call: () => Promise<Result>,
    onRetry: (message: string) => void,
  ): Promise<Result> {
    const { clock, random } = this.#options;
    return persist(call, { clock, random, signal: this.signal, onRetry });
  }

  #round(): void {
    this.#turn = this.#turn.then(this.#options.round).then(() => {
      if (this.#phase === "running") this.#later();
    });
  }

  #later(): void {
    const { cadenceMs, clock, random } = this.#options;
    this.#timer = clock.after(cadenceMs * (0.9 + 0.2 * random.next()), () => this.#round());
  }
}
