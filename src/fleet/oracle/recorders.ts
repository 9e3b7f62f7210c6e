/**
 * Recorders: they write the history at the ports where things happen, around
 * whatever is behind the port. No room of the product knows of them, and without
 * them nothing is written.
 * @module
 */
import type {
  Link,
  LinkHandlers,
  LinkOptions,
  OpenLink,
  OutboxStorage,
  SyncClient,
} from "../../../device/index.ts";
import { readCachedRelease } from "../../../device/session-held.ts";
import { type DeviceKey, deviceName, limits, OmegaError } from "../../core/index.ts";
import type { DeltaProducer, QueueEntry } from "../../queue/index.ts";
import type { Commit, DeviceCursor, Store } from "../../store/index.ts";
import { type Position, peekFrame, type Zstd } from "../../wire/index.ts";
import type { Place } from "./events.ts";
import type { HistorySink } from "./sinks.ts";

type EpochCursor = DeviceCursor["epochs"][number];

/** Bytes as lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** 64 bits of a frame, FNV-1a twice over: to tell frames apart, not to prove anything. */
export function frameHash(frame: Uint8Array): string {
  let [a, b] = [0x811c9dc5, 0x9dc5811c];
  for (const byte of frame) {
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x0100019b);
  }
  const hex = (half: number) => (half >>> 0).toString(16).padStart(8, "0");
  return hex(a) + hex(b);
}

/** The place of the delta in `frame`; null for a pull and for what cannot be read. */
export function placeOf(device: string, frame: Uint8Array): Place | null {
  try {
    const { header } = peekFrame(frame, limits.UP_FRAME_BYTES_MAX);
    if (header.kind !== "delta") return null;
    return { device, epoch: header.epoch, seq: header.seq };
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}

/** The watermark in a down frame; null when it has none or cannot be read. */
function appliedIn(frame: Uint8Array): Position | null {
  try {
    const { header } = peekFrame(frame, limits.DOWN_FRAME_BYTES_MAX);
    return "applied" in header ? header.applied : null;
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}

/** Records what `client` counts as delivered, takes, and gives up. */
export function recordClient(client: SyncClient, key: DeviceKey, sink: HistorySink): void {
  const device = deviceName(key);
  client.on("acked", ({ position }) => sink.record({ kind: "acked", device, ...position }));
  client.on("release", ({ version }) => {
    const hash = hexOf(client.contentHash ?? new Uint8Array(0));
    sink.record({ kind: "release", device, version, hash });
  });
  client.on("dropped", ({ ids }) => sink.record({ kind: "dropped", device, ids }));
}

/**
 * Records each delta that leaves a device, and each watermark that comes to it; `keep` is given the
 * frames with their hashes, for who judges what was in them.
 */
export function recordingLink(
  openLink: OpenLink,
  sink: HistorySink,
  keep: (hash: string, frame: Uint8Array) => void = () => {},
): OpenLink {
  return async (options: LinkOptions, handlers: LinkHandlers): Promise<Link> => {
    const device = deviceName(options.key);
    const link = await openLink(options, {
      ...handlers,
      message(line, payload) {
        const applied = line === "down" ? appliedIn(payload) : null;
        if (applied !== null) sink.record({ kind: "told", device, ...applied });
        return handlers.message(line, payload);
      },
    });
    return {
      flow: () => link.flow(),
      publish(payload) {
        const place = placeOf(device, payload);
        if (place !== null) {
          const hash = frameHash(payload);
          keep(hash, payload);
          sink.record({ kind: "send", ...place, hash });
        }
        return link.publish(payload);
      },
      fetchModel: (version) => link.fetchModel(version),
      close: () => link.close(),
      abort: () => link.abort(),
    };
  };
}

/** Records each frame that a gateway hands to the queue, and keeps it in `frames`, if given, by its hash. */
export function recordingProducer(
  producer: Pick<DeltaProducer, "add">,
  sink: HistorySink,
  frames?: Map<string, Uint8Array>,
): Pick<DeltaProducer, "add"> {
  const record = ({ key, frame, receivedAtMs }: QueueEntry) => {
    const device = deviceName(key);
    const [place, hash] = [placeOf(device, frame), frameHash(frame)];
    frames?.set(hash, frame);
    sink.record({ kind: "enqueue", device, place, hash, receivedAtMs });
  };
  return {
    add(shard, entries) {
      for (const entry of entries) record(entry);
      return producer.add(shard, entries);
    },
  };
}

/** `storage`, recording which release is on it, once it is durable. */
export function recordingReleases<Storage extends OutboxStorage>(
  storage: Storage,
  key: DeviceKey,
  { sink, zstd }: { readonly sink: HistorySink; readonly zstd: Zstd },
): Storage {
  const write = storage.writeRelease.bind(storage);
  storage.writeRelease = async (bytes) => {
    await write(bytes);
    const held = readCachedRelease(bytes, { get: () => null }, zstd);
    if (held === null) return;
    const { version } = held.release;
    sink.record({ kind: "cached", device: deviceName(key), version });
  };
  return storage;
}

/**
 * Records what a store keeps. Put around the store itself it tells the truth; in a process that may
 * be killed between a commit and its record, a commit may be missing.
 */
export function recordingStore(store: Store, sink: HistorySink): Store {
  const cursors = new Map<string, readonly EpochCursor[]>();
  /** The last write of each shard and each tenant: what comes again under its name is a resend. */
  const lastKept = new Map<string, string>();
  const isResend = (of: string, name: string) => {
    const again = lastKept.get(of) === name;
    lastKept.set(of, name);
    return again;
  };
  const recorded: Partial<Store> = {
    async acquireLease(name, owner, ttlMs) {
      const token = await store.acquireLease(name, owner, ttlMs);
      if (token !== null) sink.record({ kind: "lease", name, token });
      return token;
    },
    async loadDevices(shard, wanted) {
      const records = await store.loadDevices(shard, wanted);
      for (const [index, { key }] of wanted.entries()) {
        cursors.set(deviceName(key), records[index]?.cursor?.epochs ?? []);
      }
      return records;
    },
    async commit(shard, token, number, commit) {
      await store.commit(shard, token, number, commit);
      if (isResend(`shard ${shard}`, `${token} ${number}`)) return;
      const consumed = commit.devices.flatMap(({ key, cursor }) => {
        const device = deviceName(key);
        const before = cursors.get(device) ?? [];
        cursors.set(device, cursor.epochs);
        return newlyConsumed(device, before, cursor.epochs);
      });
      const { applied } = commit.stats;
      sink.record({ kind: "commit", shard, token, number, applied, consumed });
      recordLetters(commit, sink);
    },
    async publishRelease(tenant, token, stored) {
      await store.publishRelease(tenant, token, stored);
      const { ladder, rendition1 } = stored;
      const hashes = [ladder.contentHash, ...(rendition1 ? [rendition1.ladder.contentHash] : [])];
      const { version } = ladder;
      if (isResend(`tenant ${tenant}`, `${token} ${version}`)) return;
      sink.record({ kind: "publish", tenant, token, version, hashes: hashes.map(hexOf) });
    },
  };
  return new Proxy(store, {
    get(target, name) {
      const own = Reflect.get(recorded, name) as unknown;
      if (own !== undefined) return own;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function recordLetters(commit: Commit, sink: HistorySink): void {
  for (const { key, position, reason } of commit.deadLetters) {
    const device = deviceName(key);
    const place = position === null ? null : { device, ...position };
    sink.record({ kind: "dead-letter", device, place, reason });
  }
}

/** The positions that `after` holds as consumed and `before` does not; both ascending by epoch. */
function newlyConsumed(
  device: string,
  before: readonly EpochCursor[],
  after: readonly EpochCursor[],
): Place[] {
  const places: Place[] = [];
  for (const cursor of after) {
    const { epoch } = cursor;
    const known = before.find((other) => other.epoch === epoch);
    const last = cursor.low + cursor.ahead.length * 8;
    for (let seq = (known?.low ?? 0) + 1; seq <= last; seq += 1) {
      if (isIn(cursor, seq) && !(known && isIn(known, seq))) places.push({ device, epoch, seq });
    }
  }
  return places;
}

/** Whether `cursor` holds `seq` as consumed. */
export function isIn({ low, ahead }: EpochCursor, seq: number): boolean {
  if (seq <= low) return true;
  const offset = seq - low - 1;
  return ((ahead[offset >> 3] ?? 0) & (1 << (offset & 7))) !== 0;
}
