/**
 * Devices seen lately, of all shards of a process, as far as a number of bytes goes.
 *
 * What is not here is read from the store, one round trip per batch: a shard with millions of
 * devices finds few of its next ones in memory whatever the size, so the bound is small and the
 * memory of a process does not grow with its devices. The least recently used go first.
 * @module
 */
import type { FoldCursor } from "./fold-state.ts";
import type { Register } from "./register.ts";

/** A device as its shard knows it: `DeviceState`, for the shard to change once a commit is kept. */
export interface CachedDevice {
  cursor: FoldCursor | null;
  readonly registers: Map<string, Register | null>;
  whole: boolean;
}

interface Entry {
  readonly owner: object;
  readonly device: CachedDevice;
  readonly bytes: number;
}

/** About what the objects around the numbers take: a device's with its cursor, a register's. */
const DEVICE_BYTES = 600;
const REGISTER_BYTES = 400;
const COMPONENT_BYTES = 2;

export class DeviceCache {
  readonly #bytesMax: number;
  #bytes = 0;
  /** By `deviceName`, which no two shards share; the least recently used first. */
  readonly #entries = new Map<string, Entry>();

  /** Keeps about `bytesMax` bytes; with 0, nothing. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What it estimates to take. */
  get bytes(): number {
    return this.#bytes;
  }

  find(owner: object, name: string): CachedDevice | undefined {
    const entry = this.#entries.get(name);
    return entry?.owner === owner ? entry.device : undefined;
  }

  /** Makes `device` the most recently used, and room for it. */
  keep(owner: object, name: string, device: CachedDevice): void {
    this.#remove(name);
    const bytes = bytesOf(device);
    this.#entries.set(name, { owner, device, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#remove(oldest);
    }
  }

  forget(owner: object, name: string): void {
    if (this.#entries.get(name)?.owner === owner) this.#remove(name);
  }

  /** Forgets all that `owner` kept. */
  drop(owner: object): void {
    for (const [name, entry] of this.#entries) if (entry.owner === owner) this.#remove(name);
  }

  /** What `owner` kept, by name. */
  *of(owner: object): Generator<[name: string, device: CachedDevice]> {
    for (const [name, entry] of this.#entries) {
      if (entry.owner === owner) yield [name, entry.device];
    }
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#bytes -= entry.bytes;
  }
}

function bytesOf({ registers }: CachedDevice): number {
  let bytes = DEVICE_BYTES;
  for (const register of registers.values()) {
    const components = register?.kind === "live" ? register.vector.length : 0;
    bytes += REGISTER_BYTES + COMPONENT_BYTES * components;
  }
  return bytes;
}
