/**
 * What a codec model is learnt from: a few thousand of the registers that are in memory anyway.
 *
 * A device gives at most {@link PER_DEVICE_MAX} of its patterns, so that nobody bends the basis by
 * pushing a thousand of one kind, and so that what is published says little about anyone. Of
 * all that were given a reservoir keeps a uniform sample in one pass (Vitter, "Random sampling with
 * a reservoir", 1985, algorithm R).
 * @module
 */
import { integerBelow, type Random } from "../core/index.ts";
import type { GridVector } from "../wire/index.ts";
import type { Register } from "./register.ts";

/** A pattern where a register has it. */
export interface PlacedVector {
  readonly space: number;
  readonly vector: GridVector;
}

const PER_DEVICE_MAX = 16;

export class ModelSample {
  readonly #countMax: number;
  readonly #random: Random;
  readonly #kept: PlacedVector[] = [];
  #devices = 0;
  #offered = 0;

  /** Keeps at most `countMax` vectors. */
  constructor(countMax: number, random: Random) {
    this.#countMax = countMax;
    this.#random = random;
  }

  get vectors(): readonly PlacedVector[] {
    return this.#kept;
  }

  /** Devices that gave at least one. */
  get devices(): number {
    return this.#devices;
  }

  /** Vectors given, kept or not. */
  get offered(): number {
    return this.#offered;
  }

  /** Takes from one device's registers; each device must be offered once. */
  offer(registers: Iterable<Register | null>): void {
    let given = 0;
    for (const register of registers) {
      if (register?.kind !== "live") continue;
      this.#take(register);
      given += 1;
      if (given === PER_DEVICE_MAX) break;
    }
    if (given > 0) this.#devices += 1;
  }

  #take({ space, vector }: PlacedVector): void {
    this.#offered += 1;
    if (this.#kept.length < this.#countMax) {
      this.#kept.push({ space, vector });
      return;
    }
    const at = integerBelow(this.#random, this.#offered);
    if (at < this.#countMax) this.#kept[at] = { space, vector };
  }
}
