/**
 * Where an outbox lives: the port, and the adapter that forgets.
 *
 * A storage keeps opaque records in order. It knows nothing of deltas; the
 * session knows nothing of disks. An IndexedDB adapter for browsers has to
 * keep the same promises, written at each method.
 * @module
 */

export interface StoredLog {
  /** Every intact record, oldest first. */
  readonly records: readonly Uint8Array[];
  /** Records are missing in the middle; a torn tail, which is what a crash leaves, does not count. */
  readonly damaged: boolean;
}

export interface OutboxStorage {
  /**
   * Takes the storage for this process alone and reads the log.
   * Rejects `TransportError("outbox.locked")` when another process holds it.
   */
  open(): Promise<StoredLog>;
  /**
   * Appends in call order. With `durable` it resolves once the records, and all earlier ones,
   * survive a power loss; without, once they are on their way and will precede later ones.
   * Rejects `TransportError("outbox.write")`; then the log is as before, or unusable until `rewrite`.
   */
  append(records: readonly Uint8Array[], durable: boolean): Promise<void>;
  /** Replaces the whole log, atomically and durably: after a crash it is the old one or the new one. */
  rewrite(records: readonly Uint8Array[]): Promise<void>;
  /** Bytes of the log. */
  readonly bytes: number;
  /** A log smaller than this is not worth a rewrite; above, it is rewritten when it has doubled. */
  readonly rewriteBytesMin: number;
  /** The cached release, or null. Any bytes may come back: the reader verifies. */
  readRelease(): Promise<Uint8Array | null>;
  /** Replaces the cached release atomically. */
  writeRelease(bytes: Uint8Array): Promise<void>;
  /** The cached codec models, in any order. Any bytes may come back: the reader verifies. */
  readModels(): Promise<readonly Uint8Array[]>;
  /** Makes these the cached models, each put in place atomically; any others are gone afterwards. */
  writeModels(models: readonly StoredModel[]): Promise<void>;
  /** Gives the storage back. Idempotent. */
  close(): Promise<void>;
}

/** A codec model as its frame. What one version holds never changes. */
export interface StoredModel {
  readonly version: number;
  readonly frame: Uint8Array;
}

/** A storage in memory: survives `close` and `open` of the same object, not the process. */
export class MemoryStorage implements OutboxStorage {
  /** Small, because a simulated fleet keeps thousands of these in one process. */
  readonly rewriteBytesMin = 16 * 1024;
  #records: Uint8Array[] = [];
  #release: Uint8Array | null = null;
  #models: readonly StoredModel[] = [];
  #bytes = 0;

  open(): Promise<StoredLog> {
    return Promise.resolve({ records: [...this.#records], damaged: false });
  }

  append(records: readonly Uint8Array[]): Promise<void> {
    for (const record of records) {
      this.#records.push(record);
      this.#bytes += record.byteLength;
    }
    return Promise.resolve();
  }

  rewrite(records: readonly Uint8Array[]): Promise<void> {
    this.#records = [];
    this.#bytes = 0;
    return this.append(records);
  }

  get bytes(): number {
    return this.#bytes;
  }

  readRelease(): Promise<Uint8Array | null> {
    return Promise.resolve(this.#release);
  }

  writeRelease(bytes: Uint8Array): Promise<void> {
    this.#release = bytes;
    return Promise.resolve();
  }

  readModels(): Promise<readonly Uint8Array[]> {
    return Promise.resolve(this.#models.map(({ frame }) => frame));
  }

  writeModels(models: readonly StoredModel[]): Promise<void> {
    this.#models = [...models];
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
