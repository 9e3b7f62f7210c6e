/**
 * What the fold reads and what it answers, as plain data.
 *
 * The shapes named after the store's are the same as in `src/store/port.ts`;
 * they are said again here because the fold knows of no store.
 * @module
 */
import type { DeviceKey } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import type { EpochSeen } from "./dedup.ts";
import type { ReadFrame } from "./fold-read.ts";
import type { ShardSums, StoredSumRow, SumChange } from "./merge.ts";
import type { Register } from "./register.ts";

/** The store's `DeviceCursor`. */
export interface FoldCursor {
  readonly epochs: readonly EpochSeen[];
  readonly base: number;
  readonly patterns: number;
  readonly problems: readonly Problem[];
}

/** What is known of a device. A pattern that is missing from `registers` was never asked for. */
export interface DeviceState {
  readonly cursor: FoldCursor | null;
  /** null = the store has no register of that pattern. */
  readonly registers: ReadonlyMap<string, Register | null>;
  /** Whether `registers` holds every register there is: needed to bound tombstones. */
  readonly whole: boolean;
}

export interface FoldState {
  readonly sums: ShardSums;
  /** By `deviceName`: every device of the batch, with every pattern that its frames touch. */
  readonly devices: ReadonlyMap<string, DeviceState>;
}

export interface FoldEntry {
  readonly key: DeviceKey;
  /** Wall clock of the gateway, milliseconds since 1970. */
  readonly receivedAtMs: number;
  readonly frame: Uint8Array;
  readonly read: ReadFrame;
  /** The wait is over: what would be deferred is dead-lettered instead. */
  readonly final: boolean;
  /** A dead letter's second chance: its position may have been consumed. */
  readonly retried?: true;
}

export type Outcome =
  | { readonly kind: "applied" }
  /** Applied at its second chance; its position was counted when it was dead-lettered. */
  | { readonly kind: "retried" }
  | { readonly kind: "duplicate" }
  | { readonly kind: "dead-lettered"; readonly reason: string }
  | { readonly kind: "deferred"; readonly referenceSeq: number };

/** The store's `DeadLetter`. */
export interface FoldDeadLetter {
  readonly id: string;
  readonly key: DeviceKey;
  readonly position: Position | null;
  readonly reason: string;
  readonly detail: string;
  readonly receivedAtMs: number;
  readonly frame: Uint8Array;
}

/** The store's `DeviceWrite`. */
export interface FoldDeviceWrite {
  readonly key: DeviceKey;
  readonly cursor: FoldCursor;
  readonly registers: ReadonlyMap<string, Uint8Array | null>;
}

/** The store's `Commit`. */
export interface FoldCommit {
  readonly sums: readonly StoredSumRow[];
  readonly devices: readonly FoldDeviceWrite[];
  readonly deadLetters: readonly FoldDeadLetter[];
  readonly stats: {
    readonly applied: number;
    readonly duplicates: number;
    readonly deadLettered: number;
  };
}

/** What becomes the state once the commit is kept. */
export interface FoldChanges {
  readonly sums: readonly SumChange[];
  /** Changed devices by `deviceName`. */
  readonly devices: ReadonlyMap<string, DeviceState>;
}

export interface Folded {
  readonly commit: FoldCommit;
  readonly changes: FoldChanges;
  /** One per entry, in the order given. */
  readonly outcomes: readonly Outcome[];
}
