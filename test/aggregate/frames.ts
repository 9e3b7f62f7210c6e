/** Frames, entries and folds as the aggregator's tests need them: real wire bytes, eight dimensions. */

import { fold } from "../../src/aggregate/fold.ts";
import { DEFAULT_FOLD_POLICY, type FoldPolicy } from "../../src/aggregate/fold-policy.ts";
import { readFrame } from "../../src/aggregate/fold-read.ts";
import type { DeviceState, FoldEntry, Folded } from "../../src/aggregate/fold-state.ts";
import { applyChanges, noSums, type ShardSums } from "../../src/aggregate/merge.ts";
import { type DeviceKey, deviceName, limits, seededRandom } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import { releaserLease, type Store } from "../../src/store/index.ts";
import {
  type CodecModel,
  type CodecModels,
  codec0,
  type DeltaContent,
  type DeltaPlace,
  type EncodedDelta,
  encodeDelta,
  encodeDelta1,
  encodeModel,
  type GridVector,
  loadZstd,
  toGrid,
  type Upsert,
} from "../../src/wire/index.ts";
import { heldModel, learntModel } from "../wire/codec1/models.ts";

export const DIM = 8;
export const NOW_MS = 1_800_000_000_000;
export const zstd = await loadZstd();
export const POLICY: FoldPolicy = {
  ...DEFAULT_FOLD_POLICY,
  dimOf: () => DIM,
  weightMaxOf: () => limits.WEIGHT_MAX,
};

/** Codec models for the tests: every version exists. */
const MODELS: CodecModels = { get: (version) => modelOf(version) };
const models = new Map<number, CodecModel>();

export function modelOf(version: number): CodecModel {
  const model = models.get(version) ?? heldModel(DIM, version);
  models.set(version, model);
  return model;
}

/** Puts models 1 and 2 into an empty store, as whoever learns them would. */
export async function stockModels(store: Store, tenant = "acme"): Promise<void> {
  const lease = releaserLease(tenant);
  const token = await store.acquireLease(lease, "stock", 60_000);
  if (token === null) throw new Error("another has the releaser's lease");
  for (const version of [1, 2]) {
    const bytes = encodeModel(learntModel(DIM, version));
    await store.putModel(tenant, token, { version, bytes, samples: 1_000, learntAtMs: NOW_MS });
  }
  await store.releaseLease(lease, token);
}

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
  /** The version of the codec model to code with, 0 for codec 1 without one; left out: codec 0. */
  readonly model?: number;
  readonly upserts?: readonly Upsert[];
  readonly removals?: readonly string[];
}

export function deltaFrame(spec: DeltaSpec): Uint8Array {
  const { epoch = 1, seq, base = 0, dim = DIM, model, upserts = [], removals = [] } = spec;
  const [at, content] = [
    { epoch, seq, base },
    { dim, upserts, removals },
  ];
  if (model === undefined) return encodeDelta(at, content, codec0, zstd).frame;
  return encodedWith(model, at, content).frame;
}

/** With codec 1 and that model (0: none), finely. The sender plays no part in the tracking mode. */
export function encodedWith(version: number, at: DeltaPlace, content: DeltaContent): EncodedDelta {
  const options = { mode: "tracking", states: 8, sender: "acme/tv", bytesMax: 2_048 } as const;
  const model = version === 0 ? null : modelOf(version);
  const delta = encodeDelta1(at, content, { ...options, model, quality: 1e-4 }, zstd);
  if (delta === null) throw new Error("a delta of eight dimensions fits");
  return delta;
}

export function keyOf(device: string, tenant = "acme"): DeviceKey {
  return { tenant, device };
}

export function queued(key: DeviceKey, frame: Uint8Array, receivedAtMs = NOW_MS): QueueEntry {
  return { key, receivedAtMs, frame };
}

export function foldable(entry: QueueEntry, isFinal = false): FoldEntry {
  const name = deviceName(entry.key);
  const read = readFrame(entry.frame, zstd, { models: MODELS, sender: name });
  return { ...entry, name, read, final: isFinal };
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
    for (const [name, { cursor, registers }] of folded.changes.devices) {
      const known = this.devices.get(name)?.registers ?? [];
      this.devices.set(name, { cursor, registers: new Map([...known, ...registers]), whole: true });
    }
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
