/**
 * Small, complete values of everything the store keeps.
 * @module
 */
import { type DeviceKey, shardOf } from "../../src/core/index.ts";
import type {
  Commit,
  CurrentLadders,
  DeadLetter,
  DeviceCursor,
  DeviceWrite,
  RecentRelease,
  Rendition1,
  Store,
  StoredModel,
  StoredRelease,
  SumRow,
} from "../../src/store/index.ts";

export const SHARDS = 4;
export const TTL_MS = 60_000;
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;

/** Every byte there is: what no text encoding survives. */
export const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** The first `count` devices of `tenant` that belong to `shard`. */
export function keysOn(shard: number, count: number, tenant = "acme"): DeviceKey[] {
  const keys: DeviceKey[] = [];
  for (let index = 0; keys.length < count; index += 1) {
    const key = { tenant, device: `tv-${index}` };
    if (shardOf(key, SHARDS) === shard) keys.push(key);
  }
  return keys;
}

export function keyOn(shard: number, tenant = "acme"): DeviceKey {
  return keysOn(shard, 1, tenant)[0] as DeviceKey;
}

export function cursorOf(low: number, problems: DeviceCursor["problems"] = []): DeviceCursor {
  const epochs = [{ epoch: 1, low, ahead: new Uint8Array(32) }];
  return { epochs, base: 0, patterns: 1, problems };
}

export function deviceOf(
  key: DeviceKey,
  cursor: DeviceCursor,
  registers: Record<string, Uint8Array | null> = {},
): DeviceWrite {
  return { key, cursor, registers: new Map(Object.entries(registers)) };
}

export function sumOf(
  pattern: string,
  blob: Uint8Array | null,
  bucket = 0,
  tenant = "acme",
): SumRow {
  return { tenant, pattern, bucket, blob };
}

export function letterOf(key: DeviceKey, id: string): DeadLetter {
  return {
    id,
    key,
    position: { epoch: 1, seq: 7 },
    reason: "frame.truncated",
    detail: "ends after 3 bytes",
    receivedAtMs: 1_700_000_000_000,
    frame: ALL_BYTES,
  };
}

export const PROBLEM = {
  reason: "frame.truncated",
  title: "The frame ends too early.",
  position: null,
};

export function commitOf(parts: Partial<Commit> = {}): Commit {
  return {
    sums: [],
    devices: [],
    deadLetters: [],
    stats: { applied: 0, duplicates: 0, deadLettered: 0 },
    ...parts,
  };
}

/** A commit that touches everything a commit can touch; `key` of its shard. */
export function fullCommitOf(key: DeviceKey, seq: number): Commit {
  return commitOf({
    sums: [sumOf("drama", bytes(seq)), sumOf("news", bytes(seq), -3, "other")],
    devices: [deviceOf(key, cursorOf(seq, [PROBLEM]), { drama: bytes(seq, 1) })],
    deadLetters: [letterOf(key, `letter-${seq}`)],
    stats: { applied: 1, duplicates: 2, deadLettered: 1 },
  });
}

/** A release in both renditions, whose content depends on its version and on `salt`. */
export function releaseOf(
  version: number,
  tenant = "acme",
  salt = 0,
): StoredRelease & { readonly rendition1: Rendition1 } {
  const vector = Int16Array.from(
    { length: 8 },
    (_, index) => (version * 31 + index - salt) % 16384,
  );
  const contentHash = bytes(0, 255, 10, 13, version & 255, salt & 255, 7, 8);
  return {
    release: {
      version,
      dim: 8,
      patterns: [{ id: "drama", weight: 1000 + version, devices: 50, vector }],
      trends: [{ id: "film-1", score: 1000 }],
    },
    ladder: {
      tenant,
      version,
      contentHash,
      codec: 0,
      snapshot: { compressed: false, bytes: ALL_BYTES },
      deltas: new Map(
        version > 1 ? [[version - 1, { compressed: true, bytes: bytes(1, 0, 2) }]] : [],
      ),
    },
    rendition1: rendition1Of(version, tenant, salt),
  };
}

function rendition1Of(version: number, tenant: string, salt: number): Rendition1 {
  const layer = (scale: number) =>
    Int16Array.from({ length: 8 }, (_, index) => scale * (index - 4) + (salt % 100));
  const part = (...values: number[]) => ({ compressed: false, bytes: bytes(...values) });
  return {
    release: {
      version,
      dim: 8,
      space: 3,
      steps: { coarse: 300, fine: 250, level: -40 },
      patterns: [{ id: "drama", weight: 1000, devices: 50, layers: [layer(1), layer(8000)] }],
      trends: [{ id: "film-1", score: 1000 }],
    },
    ladder: {
      tenant,
      version,
      contentHash: bytes(1, 255, 10, 13, version & 255, salt & 255, 7, 8),
      model: 3,
      snapshot: [part(1, 2, 3), { compressed: false, bytes: ALL_BYTES }],
      deltas: new Map(version > 1 ? [[version - 1, [part(0, 9), part()]]] : []),
    },
  };
}

/** What the store answers of a release afterwards. */
export function laddersOf({ ladder, rendition1 }: StoredRelease): CurrentLadders {
  return { ladder, ladder1: rendition1?.ladder ?? null };
}

export function recentOf({ release, rendition1 }: StoredRelease): RecentRelease {
  return { release, release1: rendition1?.release ?? null };
}

/** A codec model whose content depends on its version and on `salt`. */
export function modelOf(version: number, salt = 0): StoredModel {
  const own = bytes(version & 255, salt & 255, ...ALL_BYTES);
  return { version, bytes: own, samples: 1_000 * version, learntAtMs: 1_700_000_000_000 + salt };
}

/** Takes the lease of a shard; fails the test when somebody else holds it. */
export async function leaseShard(store: Store, shard: number, owner = "writer"): Promise<number> {
  return held(await store.acquireLease(`shard-${shard}`, owner, TTL_MS));
}

export async function leaseReleaser(store: Store, tenant = "acme", owner = "releaser") {
  return held(await store.acquireLease(`releaser-${tenant}`, owner, TTL_MS));
}

export function held(token: number | null): number {
  if (token === null) throw new Error("the lease is held by somebody else");
  return token;
}
