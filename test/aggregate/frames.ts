/**
 * Frames, entries and folds as the aggregator's tests need them: real wire bytes, eight dimensions.
 *
 * The fold does not care how vectors were coded, only which space they are in. So frames here are
 * codec 0, and one that stands for a space other than 0 says so in its trace.
 */

import { fold } from "../../src/aggregate/fold.ts";
import { DEFAULT_FOLD_POLICY, type FoldPolicy } from "../../src/aggregate/fold-policy.ts";
import { type ReadFrame, readFrame } from "../../src/aggregate/fold-read.ts";
import type { DeviceState, FoldEntry, Folded } from "../../src/aggregate/fold-state.ts";
import { applyChanges, noSums, type ShardSums } from "../../src/aggregate/merge.ts";
import { type DeviceKey, deviceName, seededRandom } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import {
  codec0,
  encodeDelta,
  type GridVector,
  loadZstd,
  toGrid,
  type Upsert,
} from "../../src/wire/index.ts";

export const DIM = 8;
export const NOW_MS = 1_800_000_000_000;
export const zstd = await loadZstd();
export const POLICY: FoldPolicy = { ...DEFAULT_FOLD_POLICY, dimOf: () => DIM };

/** A unit vector that depends only on `seed`. */
export function vectorOf(seed: number, dim = DIM): GridVector {
  const random = seededRandom(seed);
  const raw = Array.from({ length: dim }, () => random.next() - 0.5);
  const norm = Math.hypot(...raw);
  return toGrid(raw.map((component) => component / norm));
}

/** An upsert with the pattern itself. */
export function absolute(id: string, seed: number, fields: Partial<Upsert> = {}): Upsert {
  return {
    id,
    weight: 10,
    success: 0.8,
    samples: 12,
    updatedAtS: 1_800_000_000,
    embedding: { mode: "absolute", target: vectorOf(seed) },
    ...fields,
  };
}

/** An upsert with new numbers for the vector that was written at `referenceSeq`. */
export function kept(id: string, referenceSeq: number, weight = 11): Upsert {
  return absolute(id, 1, { weight, embedding: { mode: "kept", referenceSeq } });
}

export interface DeltaSpec {
  readonly epoch?: number;
  readonly seq: number;
  readonly base?: number;
  readonly dim?: number;
  readonly space?: number;
  readonly upserts?: readonly Upsert[];
  readonly removals?: readonly string[];
}

export function deltaFrame(spec: DeltaSpec): Uint8Array {
  const { epoch = 1, seq, base = 0, dim = DIM, space = 0, upserts = [], removals = [] } = spec;
  const at = { epoch, seq, base, ...traceOf(space) };
  return encodeDelta(at, { dim, upserts, removals }, codec0, zstd).frame;
}

/** How a frame says which space it stands for. */
export function traceOf(space: number): { trace?: Uint8Array } {
  return space === 0 ? {} : { trace: Uint8Array.of(space & 0xff, space >> 8) };
}

function inItsSpace(read: ReadFrame): ReadFrame {
  if (read.kind === "refused") return read;
  const [low = 0, high = 0] = read.delta.header.trace ?? [];
  return { ...read, delta: { ...read.delta, space: low | (high << 8) } };
}

export function keyOf(device: string, tenant = "acme"): DeviceKey {
  return { tenant, device };
}

export function queued(key: DeviceKey, frame: Uint8Array, receivedAtMs = NOW_MS): QueueEntry {
  return { key, receivedAtMs, frame };
}

export function foldable(entry: QueueEntry, isFinal = false): FoldEntry {
  return { ...entry, read: inItsSpace(readFrame(entry.frame, zstd)), final: isFinal };
}

/** A shard without a store: folds batches and keeps what they say. */
export class FoldBench {
  readonly sums: ShardSums = noSums();
  readonly devices = new Map<string, DeviceState>();
  readonly #policy: FoldPolicy;

  constructor(policy: Partial<FoldPolicy> = {}) {
    this.#policy = { ...POLICY, ...policy };
  }

  fold(entries: readonly FoldEntry[], nowMs = NOW_MS): Folded {
    for (const { key } of entries) {
      if (this.devices.has(deviceName(key))) continue;
      this.devices.set(deviceName(key), { cursor: null, registers: new Map(), whole: true });
    }
    const folded = fold({ sums: this.sums, devices: this.devices }, entries, this.#policy, nowMs);
    applyChanges(this.sums, folded.changes.sums);
    for (const [name, device] of folded.changes.devices) this.devices.set(name, device);
    return folded;
  }

  /** Folds one delta of one device. */
  send(key: DeviceKey, spec: DeltaSpec, receivedAtMs = NOW_MS): Folded {
    return this.fold([foldable(queued(key, deltaFrame(spec), receivedAtMs))], receivedAtMs);
  }

  device(key: DeviceKey): DeviceState {
    const device = this.devices.get(deviceName(key));
    if (device === undefined) throw new Error(`no device ${deviceName(key)}`);
    return device;
  }
}
