/**
 * Work that comes in waves, done a little per turn of the event loop.
 *
 * When a balancer or a switch fails, ten thousand sockets end in one moment, and
 * what each end costs is paid before the next timer and the next PUBACK. Here
 * it waits its turn instead, behind the traffic of those who stayed.
 * @module
 */

export class Turns {
  readonly #countMax: number;
  #waiting: (() => void)[] = [];
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
    for (const act of this.#waiting.splice(0, this.#countMax)) act();
    this.#begun = this.#waiting.length > 0;
    if (this.#begun) setImmediate(() => this.#turn());
  }
}
