/**
 * What there is when all has come to rest: the oracle's other half beside the history.
 * @module
 */
import type { DeviceKey } from "../../core/index.ts";
import type { DeviceCursor } from "../../store/index.ts";
import type { GridVector } from "../../wire/index.ts";

/** A register as a device believes in it or the store holds it; null is a tombstone. */
export interface FinalRegister {
  readonly epoch: number;
  readonly seq: number;
  readonly space: number;
  readonly vector: GridVector | null;
  /** Of a live one in the store. */
  readonly weight: number | null;
  readonly bucket: number | null;
}

export interface FinalDevice {
  readonly key: DeviceKey;
  /** Changes in its outbox. */
  readonly pending: number;
  readonly version: number;
  readonly hash: string;
  readonly believed: ReadonlyMap<string, FinalRegister>;
  /** Of the store. */
  readonly registers: ReadonlyMap<string, FinalRegister>;
  readonly cursor: DeviceCursor | null;
}

export interface Finals {
  readonly devices: readonly FinalDevice[];
  /** The current release: its version, and the hash of each rendition. 0 before the first. */
  readonly newest: { readonly version: number; readonly hashes: readonly string[] };
  /** Jobs left in the queue. */
  readonly queued: number;
  /** Rows of sums that are not what the store's own registers add up to, in words. */
  readonly wrongSums: readonly string[];
  /** Everything was at rest within the time allowed. */
  readonly rested: { readonly drained: boolean; readonly converged: boolean };
  /** Errors that no part of the product expected. */
  readonly crashes: readonly string[];
  /** The bytes behind a hash of the history. */
  frameOf(hash: string): Uint8Array | undefined;
}
