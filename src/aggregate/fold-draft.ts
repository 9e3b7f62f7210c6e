/**
 * One device in a batch being folded: its cursor and registers as they will be.
 * @module
 */
import { assert, type DeviceKey } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import { type EpochSeen, isLater, newestConsumed } from "./dedup.ts";
import type { RegisterWrite } from "./fold-device.ts";
import { PROBLEMS_MAX } from "./fold-policy.ts";
import type { ReadDelta } from "./fold-read.ts";
import type { DeviceChange, DeviceState, FoldCursor, FoldDeviceWrite } from "./fold-state.ts";
import { encodeRegisters, type Register } from "./register.ts";

const NEW_CURSOR: FoldCursor = { epochs: [], base: 0, patterns: 0, problems: [] };

export class DeviceDraft {
  readonly key: DeviceKey;
  readonly #device: DeviceState;
  /** Over the device's own. */
  readonly #written = new Map<string, Register | null>();
  #cursor: FoldCursor;
  #changed = false;

  constructor(key: DeviceKey, device: DeviceState) {
    this.key = key;
    this.#device = device;
    this.#cursor = device.cursor ?? NEW_CURSOR;
  }

  get cursor(): FoldCursor {
    return this.#cursor;
  }

  /** Whether the commit must write this device. */
  get changed(): boolean {
    return this.#changed;
  }

  /** The register of `pattern` as the batch has left it so far; null when there is none. */
  register(pattern: string): Register | null {
    const written = this.#written.get(pattern);
    if (written !== undefined) return written;
    const register = this.#device.registers.get(pattern);
    assert(register !== undefined || this.#device.whole, "every pattern of a batch is loaded");
    return register ?? null;
  }

  /** Takes over the registers of an applied delta, of which `live` are live then; `epochs` have its position consumed. */
  apply(
    { position, delta }: ReadDelta,
    writes: readonly RegisterWrite[],
    live: number,
    epochs: readonly EpochSeen[],
  ): void {
    const newest = newestConsumed(this.#cursor.epochs);
    const isNewest = newest === null || isLater(position, newest);
    this.#cursor = {
      epochs,
      base: isNewest ? delta.header.base : this.#cursor.base,
      patterns: live,
      problems: this.#cursor.problems,
    };
    for (const { pattern, register } of writes) this.#written.set(pattern, register);
    this.#changed = true;
  }

  /** Remembers why a delta was not applied; `epochs` null when its position is not consumed. */
  refuse(problem: Problem, epochs: readonly EpochSeen[] | null): void {
    const problems = [...this.#cursor.problems, problem].slice(-PROBLEMS_MAX);
    this.#cursor = { ...this.#cursor, epochs: epochs ?? this.#cursor.epochs, problems };
    this.#changed = true;
  }

  /** Takes back what was said about the delta at `position`: it is applied after all. */
  forgive({ epoch, seq }: Position): void {
    const problems = this.#cursor.problems.filter(
      ({ position }) => position?.epoch !== epoch || position.seq !== seq,
    );
    this.#cursor = { ...this.#cursor, problems };
  }

  /**
   * Forgets tombstones older than `bucket`, and the oldest beyond `countMax` (P8). What a forgotten
   * one could still miss is a delta older than it that has not arrived yet.
   */
  boundTombstones(bucket: number, countMax: number): void {
    if (!this.#device.whole) return;
    const tombstones: [string, Register][] = [];
    for (const [id, register] of new Map([...this.#device.registers, ...this.#written])) {
      if (register?.kind === "tombstone") tombstones.push([id, register]);
    }
    tombstones.sort(([, a], [, b]) => (isLater(a, b) ? -1 : 1));
    for (const [rank, [id, tombstone]] of tombstones.entries()) {
      if (rank >= countMax || tombstone.bucket < bucket) this.#written.set(id, null);
    }
  }

  /** What the device's state takes over once the commit is kept. */
  change(): DeviceChange {
    return { cursor: this.#cursor, registers: this.#written };
  }

  write(): FoldDeviceWrite {
    return { key: this.key, cursor: this.#cursor, registers: encodeRegisters(this.#written) };
  }
}
