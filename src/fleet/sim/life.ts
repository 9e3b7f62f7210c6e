/**
 * A life: one incarnation of a process, from its start to its end.
 *
 * All that a process can wait for comes through its life: timers and answers.
 * A dead life wakes nobody, so that what awaited something at that moment is
 * stopped there for ever, which is what `kill -9` means. A stopped life (SIGSTOP)
 * keeps what comes and lives through it late.
 * @module
 */
import type { Clock } from "../../core/index.ts";
import type { Timeline } from "./timeline.ts";

/** Noon, so that a clock may be an hour wrong within one day. */
const STARTED_AT_MS = Date.UTC(2026, 0, 1, 12);

/** The wall clock of a machine, which may be wrong; it outlives the processes on it. */
export interface WallClock {
  skewMs: number;
}

export class Life {
  readonly name: string;
  readonly clock: Clock;
  readonly #timeline: Timeline;
  #alive = true;
  #stopped = false;
  #late: (() => void)[] = [];

  constructor(name: string, timeline: Timeline, wall: WallClock) {
    this.name = name;
    this.#timeline = timeline;
    const bornMs = timeline.nowMs;
    this.clock = {
      nowMs: () => Math.floor(STARTED_AT_MS + timeline.nowMs + wall.skewMs),
      monotonicMs: () => timeline.nowMs - bornMs,
      after: (delayMs, act) => this.after(delayMs, act),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Lives through `act` in `delayMs`, unless it is dead by then. */
  after(delayMs: number, act: () => void) {
    return this.#timeline.after(delayMs, () => this.wake(act));
  }

  /** Lives through `act` now, or when it goes on, or never. */
  wake(act: () => void): void {
    if (!this.#alive) return;
    if (this.#stopped) this.#late.push(act);
    else act();
  }

  /** Takes `delayMs`, as a disk or a processor does. */
  take(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** SIGSTOP. */
  halt(): void {
    this.#stopped = true;
  }

  /** SIGCONT. What came meanwhile is lived through now, each as a moment of its own. */
  goOn(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    const late = this.#late;
    this.#late = [];
    for (const act of late) this.after(0, act);
  }

  /** kill -9. */
  end(): void {
    this.#alive = false;
    this.#late = [];
  }
}
