/**
 * Work that comes in waves, done a little per turn of the event loop.
 *
 * When a balancer or a switch fails, ten thousand sockets end in one moment, and
 * what each end costs is paid before the next timer and the next PUBACK. Here
 * it waits its turn instead, behind the traffic of those who stayed.
 * @module
 */

const DONE = () => undefined;

export class Turns {
  readonly #countMax: number;
  #waiting: (() => void)[] = [];
  /** Those before it were run. Taking them out of the list each turn would move all that wait. */
  #at = 0;
  #begun = false;

  /** `countMax`: how much is done per turn, ≥ 1. */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Runs `act` in a turn to come, after all that was added before. It must not throw. */
  add(act: () => void): void {
    this.#waiting.push(act);
    if (this.#begun) return;
    this.#begun = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const end = Math.min(this.#at + this.#countMax, this.#waiting.length);
    while (this.#at < end) {
      const act = this.#waiting[this.#at] as () => void;
      // What it holds on to may go.
      this.#waiting[this.#at] = DONE;
      this.#at += 1;
      act();
    }
    if (2 * this.#at >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#at);
      this.#at = 0;
    }
    this.#begun = this.#waiting.length > 0;
    if (this.#begun) setImmediate(() => this.#turn());
  }
}
