/**
 * The store port: what the aggregator, the releaser and the gateways keep between crashes.
 *
 * How a shard's writer uses it, and why each step is safe:
 *
 *   token = acquireLease("shard-3", owner, ttlMs)    // fences every older writer
 *   { sums, commitNumber } = loadShard(3)            // nothing can commit behind its back now
 *   n = commitNumber + 1
 *   commit(3, token, n, batch)                       // all of it or nothing of it
 *
 * **A commit has a number because its outcome can be unknown.** When a
 * connection dies after the request left, nobody can tell whether the store has
 * it. The writer then sends *the same batch with the same token and number
 * again*, as often as it likes: a store that already holds it answers as if it
 * had just done it, and one that does not does it now. Any other number than
 * the stored one plus one is refused (`commit.order`). To give a batch up
 * instead, take the lease again: the new token makes every request that is
 * still under way harmless, and `loadShard` then tells what was kept.
 *
 * **Lease time is the store's own clock**, never a caller's. A token is valid
 * until its lease expired there, and tokens of one name strictly rise, so that a
 * paused process that wakes up late cannot write (Kleppmann, "How to do
 * distributed locking", 2016).
 *
 * Errors of every method: `TransportError("store.unavailable")` when the backend
 * cannot be reached or refuses; `TimeoutError("store.timeout")` when it does not
 * answer in time (the outcome of a write is then unknown);
 * `SerializationError("record.*")` when it holds bytes that we did not write.
 * Keeps P2 (atomic commits), P4 (exact integers up to 2^53) and P5 (versions rise).
 * @module
 */
import type { DeviceKey } from "../core/index.ts";
import type { Ladder, Ladder1, Position, Problem, Release, Release1 } from "../wire/index.ts";

/** Which seqs of one epoch of one device were consumed. */
export interface EpochCursor {
  /** 1 … 2^53 − 1. */
  readonly epoch: number;
  /** Every seq ≤ low was consumed; 0 = none. */
  readonly low: number;
  /** 32 bytes; bit i (bit i % 8 of byte ⌊i / 8⌋) set = seq low + 1 + i was consumed. */
  readonly ahead: Uint8Array;
}

/** What the store knows of one device besides its registers. */
export interface DeviceCursor {
  /** At most {@link CURSOR_EPOCHS_MAX}, ascending by epoch. */
  readonly epochs: readonly EpochCursor[];
  /** The release version the device said it held in its newest delta; 0 = none. */
  readonly base: number;
  /** Live registers, 0 … DEVICE_PATTERNS_MAX. */
  readonly patterns: number;
  /** The newest refusals, at most {@link CURSOR_PROBLEMS_MAX}, oldest first. */
  readonly problems: readonly Problem[];
}

/** Epochs one cursor remembers. */
export const CURSOR_EPOCHS_MAX = 4;
/** Problems one cursor remembers. */
export const CURSOR_PROBLEMS_MAX = 8;
/** Bytes of {@link EpochCursor.ahead}: one bit per seq of the dedup window. */
export const CURSOR_AHEAD_BYTES = 32;

/** A device as loaded: null when the store does not know it. Registers hold only wanted ones that exist. */
export interface DeviceRecord {
  readonly cursor: DeviceCursor | null;
  /** By pattern id; the blob is the aggregator's own. */
  readonly registers: ReadonlyMap<string, Uint8Array>;
}

/** The sums of one pattern in one time bucket on one shard. The blob is the aggregator's own. */
export interface SumRow {
  readonly tenant: string;
  readonly pattern: string;
  /** Integer, |bucket| < 2^53. */
  readonly bucket: number;
  /** null in a commit deletes the row; never null when loaded. */
  readonly blob: Uint8Array | null;
}

/** The new cursor of one device and its changed registers (null deletes one). */
export interface DeviceWrite {
  readonly key: DeviceKey;
  readonly cursor: DeviceCursor;
  readonly registers: ReadonlyMap<string, Uint8Array | null>;
}

/** A frame, or a job, that was consumed without being applied, kept with its reason. */
export interface DeadLetter {
  /**
   * 1–128 printable ASCII characters. An id that the shard still keeps is
   * neither stored nor counted again, so derive it from what is the same when a
   * job is replayed (device, position, or a hash of the frame).
   */
  readonly id: string;
  /** Of the reserved tenant "-" when a whole job could not be read: `frame` is then the job's text. */
  readonly key: DeviceKey;
  /** null when the frame did not say. */
  readonly position: Position | null;
  /** Dotted, stable: "seq.window". */
  readonly reason: string;
  readonly detail: string;
  /** Wall clock of the gateway, milliseconds since 1970. */
  readonly receivedAtMs: number;
  readonly frame: Uint8Array;
}

/** Counters of one shard. In a commit: increments ≥ 0. */
export interface ShardStats {
  readonly applied: number;
  readonly duplicates: number;
  /** Every dead letter ever, however few payloads are still kept: this never falls. */
  readonly deadLettered: number;
}

/**
 * One atomic step of a shard, of at most 64 MiB and 200,000 rows, registers,
 * devices and letters together. At most one row per (tenant, pattern, bucket) and
 * one write per device, and every device must belong to the shard. A dead letter
 * whose id is already kept moves one of `stats.deadLettered` to `duplicates`.
 */
export interface Commit {
  readonly sums: readonly SumRow[];
  readonly devices: readonly DeviceWrite[];
  /** Oldest first. */
  readonly deadLetters: readonly DeadLetter[];
  readonly stats: ShardStats;
}

/** What a new writer of a shard starts from. */
export interface LoadedShard {
  readonly sums: SumRow[];
  /** The number of the last commit; 0 = none yet. The next one is this plus one. */
  readonly commitNumber: number;
}

/** All sums of one tenant on one shard, as of one commit. */
export interface ShardSums {
  readonly shard: number;
  readonly rows: SumRow[];
}

/** A release with everything that gateways need to serve it. */
export interface StoredRelease {
  readonly release: Release;
  /** Same tenant, version and content hash as the release it was built from. */
  readonly ladder: Ladder;
  /** The same version as devices of minor 1 get it; null when it was published without. */
  readonly rendition1: Rendition1 | null;
}

/** A release in layers; its ladder is of the same tenant and version. */
export interface Rendition1 {
  readonly release: Release1;
  readonly ladder: Ladder1;
}

/** What gateways serve of the current release. */
export interface CurrentLadders {
  readonly ladder: Ladder;
  readonly ladder1: Ladder1 | null;
}

/** What the next ladders build on. */
export interface RecentRelease {
  readonly release: Release;
  readonly release1: Release1 | null;
}

/** A codec model, as the wire publishes it and with what the next one is judged by. */
export interface StoredModel {
  /** 1 … 65,535; rises by one with each model of a tenant. */
  readonly version: number;
  /** 1 … `MODEL_BYTES_MAX` bytes of `encodeModel`; the store does not look inside. */
  readonly bytes: Uint8Array;
  /** How many vectors there were to learn it from; integer ≥ 0. */
  readonly samples: number;
  /** Milliseconds since 1970, by the clock of who learnt it. */
  readonly learntAtMs: number;
}

/**
 * Notifications are hints: they may be lost, doubled, or, between the nodes of a cluster, later than
 * a newer one that was told at the start. So listeners also poll, and never throw.
 */
export interface StoreListener {
  onRelease(tenant: string, version: number): void;
  onProblems(key: DeviceKey): void;
  /** A codec model of the tenant was stored. */
  onModel?(tenant: string, version: number): void;
}

/** The lease a shard's commits are checked against. */
export function shardLease(shard: number): string {
  return `shard-${shard}`;
}

/** The lease a tenant's releases and codec models are checked against. */
export function releaserLease(tenant: string): string {
  return `releaser-${tenant}`;
}

export interface Store {
  /** How many shards this store was opened with; every process must agree. */
  readonly shards: number;

  /**
   * Takes the lease `name` for `ttlMs` (> 0) when it is free, expired, or held by
   * the same `owner`. Answers its fencing token (1 … 2^53 − 1), higher than every
   * earlier one of that name; null while another owner holds it. `owner` must be
   * unique per process incarnation. Names are {@link shardLease},
   * {@link releaserLease} or any other id.
   */
  acquireLease(name: string, owner: string, ttlMs: number): Promise<number | null>;
  /** Makes the lease last `ttlMs` from now. False when `token` is no longer its unexpired holder. */
  renewLease(name: string, token: number, ttlMs: number): Promise<boolean>;
  /** Frees the lease if `token` still holds it; silent otherwise. The next token still rises. */
  releaseLease(name: string, token: number): Promise<void>;

  /** Every sum of a shard and its commit number. Consistent for the lease's holder, who is the only writer. */
  loadShard(shard: number): Promise<LoadedShard>;
  /** Devices of one shard in the order given, with the wanted registers, in one round trip. */
  loadDevices(
    shard: number,
    wanted: readonly { readonly key: DeviceKey; readonly patterns: readonly string[] }[],
  ): Promise<DeviceRecord[]>;
  /** Every register of one device that the store holds (tombstones included): to verify it, or to forget it. */
  registers(key: DeviceKey): Promise<Map<string, Uint8Array>>;

  /**
   * Writes all of `commit` or nothing of it, under {@link shardLease}. Resolves
   * at once when `number` and `token` are those of the last commit kept (a
   * resend; the batch is not compared), even if the lease was lost meanwhile.
   * Devices that have a dead letter in this commit and problems in their new
   * cursor are announced to `onProblems` afterwards.
   * @throws TransportError("lease.lost") when `token` does not hold the unexpired lease.
   * @throws TransportError("commit.order") when `number` is not the last one plus one.
   * @throws SerializationError("commit.*") when the batch breaks a rule of {@link Commit}.
   */
  commit(shard: number, token: number, number: number, commit: Commit): Promise<void>;
  /**
   * Drops a device's cursor and every register, under {@link shardLease}; leaves
   * the commit number as it is. First commit the sums without the device's
   * contributions (and its registers as null): a crash in between is then
   * harmless. Repeating it is harmless too.
   * @throws TransportError("lease.lost")
   */
  forget(shard: number, token: number, key: DeviceKey): Promise<void>;

  /** Totals of a shard since it exists. */
  stats(shard: number): Promise<ShardStats>;
  /** The kept dead letters of a shard, newest first, at most `limit`. */
  deadLetters(shard: number, limit: number): Promise<DeadLetter[]>;
  /**
   * Forgets kept dead letters of a shard, for good; the totals stay. Ids that are not kept are no
   * fault. Answers how many there were. Needs no lease: no fold depends on them.
   */
  dropDeadLetters(shard: number, ids: readonly string[]): Promise<number>;
  /** Cursors in the order given, of any shards, in one round trip per shard. */
  cursors(keys: readonly DeviceKey[]): Promise<(DeviceCursor | null)[]>;

  /** Tenants that have sums on some shard, or a release; sorted. */
  tenants(): Promise<string[]>;
  /** One tenant's sums, one entry per shard (0 … shards − 1), each as of one commit. */
  loadTenantSums(tenant: string): Promise<ShardSums[]>;
  /**
   * Makes `stored` the tenant's current release, under {@link releaserLease},
   * keeps the newest `releasesKept` releases, and notifies `onRelease`. A resend
   * by the same token with the same content hash resolves.
   * @throws TransportError("lease.lost")
   * @throws TransportError("release.version") when it is not the current version plus one (the first is 1).
   */
  publishRelease(tenant: string, token: number, stored: StoredRelease): Promise<void>;
  /** The ladders of the current release, of one version; null before the first. */
  currentRelease(tenant: string): Promise<CurrentLadders | null>;
  /** The kept releases, newest first: the bases of the next ladders. */
  recentReleases(tenant: string): Promise<RecentRelease[]>;

  /**
   * Adds `model` to the tenant's codec models, under {@link releaserLease}, and notifies `onModel`.
   * A resend of exactly the same resolves. A version never changes its content.
   * @throws TransportError("lease.lost")
   * @throws TransportError("model.order") when its version is not the newest plus one (the first is 1).
   * @throws SerializationError("model.*") on a version, size or number out of range.
   */
  putModel(tenant: string, token: number, model: StoredModel): Promise<void>;
  /** The kept codec models, newest first. */
  models(tenant: string): Promise<StoredModel[]>;
  /** The bytes of one codec model; null when it never was or was dropped. */
  model(tenant: string, version: number): Promise<Uint8Array | null>;
  /**
   * Drops these codec models, under {@link releaserLease}; but never the newest, which says what
   * the next version is. Versions that are not there are no fault.
   * @throws TransportError("lease.lost")
   */
  dropModels(tenant: string, token: number, versions: readonly number[]): Promise<void>;

  /**
   * Subscribes until the returned function is called. After every subscription,
   * the first and each one after a lost connection, `onRelease` is called with
   * the current version of every tenant and `onModel` with its newest codec
   * model, so that nothing stays missed for long.
   */
  watch(listener: StoreListener): Promise<() => Promise<void>>;

  /** Idempotent. Ends watches and own connections; a pool that was handed in stays open. */
  close(): Promise<void>;
}
