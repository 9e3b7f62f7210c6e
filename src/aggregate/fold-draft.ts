/**
 * One device in a batch being folded: its cursor and registers as they will be.
 * @module
 */
import { assert, type DeviceKey } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import { type EpochSeen, isLater, newestConsumed } from "./dedup.ts";
import { liveChange } from "./fold-device.ts";
import { PROBLEMS_MAX } from "./fold-policy.ts";
import type { ReadDelta } from "./fold-read.ts";
import type { DeviceState, FoldCursor, FoldDeviceWrite } from "./fold-state.ts";
import { encodeRegister, type Register } from "./register.ts";

const NEW_CURSOR: FoldCursor = { epochs: [], base: 0, patterns: 0, problems: [] };

export class DeviceDraft {
  readonly key: DeviceKey;
  readonly #whole: boolean;
  readonly #registers: Map<string, Register | null>;
  readonly #written = new Set<string>();
  #cursor: FoldCursor;
  #changed = false;

  constructor(key: DeviceKey, device: DeviceState) {
    this.key = key;
    this.#whole = device.whole;
    this.#registers = new Map(device.registers);
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
    const register = this.#registers.get(pattern);
    assert(register !== undefined || this.#whole, "every pattern of a batch is loaded");
    return register ?? null;
  }

  /** Takes over the registers of an applied delta; `epochs` have its position consumed. */
  apply(
    { position, delta }: ReadDelta,
    writes: ReadonlyMap<string, Register>,
    epochs: readonly EpochSeen[],
  ): void {
    const newest = newestConsumed(this.#cursor.epochs);
    const isNewest = newest === null || isLater(position, newest);
    this.#cursor = {
      epochs,
      base: isNewest ? delta.header.base : this.#cursor.base,
      patterns: this.#cursor.patterns + liveChange(writes, (id) => this.register(id)),
      problems: this.#cursor.problems,
    };
    for (const [id, register] of writes) this.#write(id, register);
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
    if (!this.#whole) return;
    const tombstones: [string, Register][] = [];
    for (const [id, register] of this.#registers) {
      if (register?.kind === "tombstone") tombstones.push([id, register]);
    }
    tombstones.sort(([, a], [, b]) => (isLater(a, b) ? -1 : 1));
    for (const [rank, [id, tombstone]] of tombstones.entries()) {
      if (rank >= countMax || tombstone.bucket < bucket) this.#write(id, null);
    }
  }

  /** The device as it is once the commit is kept. */
  state(): DeviceState {
    return { cursor: this.#cursor, registers: this.#registers, whole: this.#whole };
  }

  write(): FoldDeviceWrite {
    const registers = new Map<string, Uint8Array | null>();
    for (const id of this.#written) {
      const register = this.#registers.get(id) ?? null;
      registers.set(id, register === null ? null : encodeRegister(register));
    }
    return { key: this.key, cursor: this.#cursor, registers };
  }

  #write(id: string, register: Register | null): void {
    this.#registers.set(id, register);
    this.#written.add(id);
  }
}
