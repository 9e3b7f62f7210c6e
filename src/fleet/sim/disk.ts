/**
 * A disk for one outbox: files, a directory, and what survives which end.
 *
 * The file storage of the device runs on it as on a real one. A write is in the
 * page cache until a sync of its file; a name is in the cache until a sync of
 * its directory. `kill -9` loses neither, a power loss any of it, and a write
 * that was under way may be torn at any byte.
 * @module
 */
import type { FileOperations, OpenFile } from "../../../device/storage-file.ts";
import { integerBelow, type Random } from "../../core/index.ts";
import { between, happens } from "./chance.ts";
import type { Life } from "./life.ts";

type Change =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number };

const WRITE_MS = 0.05;
const SYNC_MS_MIN = 0.5;
const SYNC_MS_MAX = 8;
/** How often a power loss keeps a later write and loses an earlier one. */
const DISORDER = 0.05;

class Inode {
  content: Uint8Array = new Uint8Array(0);
  /** Not yet on the medium, oldest first. */
  #cached: Change[] = [];
  #durable: Uint8Array = new Uint8Array(0);

  change(change: Change): void {
    this.content = changed(this.content, change);
    this.#cached.push(change);
  }

  sync(): void {
    for (const change of this.#cached) this.#durable = changed(this.#durable, change);
    this.#cached = [];
  }

  /** A sync failed: the cache holds what no later sync will write. */
  failSync(): void {
    this.#cached = [];
  }

  /** Some of what was cached is lost: a tail of it mostly, and the last write torn. */
  losePower(random: Random): void {
    const survivors = integerBelow(random, this.#cached.length + 1);
    let content = this.#durable;
    for (const [index, change] of this.#cached.entries()) {
      const kept = happens(random, DISORDER) ? happens(random, 0.5) : index < survivors;
      if (kept) content = changed(content, change);
      else if (index === survivors) content = changed(content, torn(change, random));
    }
    this.content = content;
    this.#durable = content;
    this.#cached = [];
  }
}

function changed(content: Uint8Array, change: Change): Uint8Array {
  if (change.kind === "truncate") {
    const cut = new Uint8Array(change.length);
    cut.set(content.subarray(0, change.length));
    return cut;
  }
  const { at, bytes } = change;
  const next = new Uint8Array(Math.max(content.length, at + bytes.length));
  next.set(content);
  next.set(bytes, at);
  return next;
}

function torn(change: Change, random: Random): Change {
  if (change.kind === "truncate") return change;
  return { ...change, bytes: change.bytes.subarray(0, integerBelow(random, change.bytes.length)) };
}

export class Disk {
  readonly #random: Random;
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  /** Writes fail with ENOSPC. */
  full = false;
  /** This many syncs from now on fail with EIO. */
  failingSyncs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The operations as the process `life` may use them. */
  operations(life: Life): FileOperations {
    return {
      open: async (path, flags) => this.#open(life, path, flags),
      readFile: async (path) => this.#find(path).content,
      rename: async (from, to) => {
        await life.take(0);
        const inode = this.#find(from);
        this.#names.delete(from);
        this.#names.set(to, inode);
      },
      mkdir: async () => {},
      readdir: async () =>
        [...this.#names.keys()].map((path) => path.slice(path.lastIndexOf("/") + 1)),
      rm: async (path) => {
        this.#names.delete(path);
      },
      lock: async () => async () => {},
    };
  }

  /** Pulls the plug. Names that were not synced may be as before. */
  losePower(): void {
    if (happens(this.#random, 0.5)) this.#names = new Map(this.#durableNames);
    for (const inode of this.#names.values()) inode.losePower(this.#random);
    this.#durableNames = new Map(this.#names);
  }

  /** The device loses its memory altogether. */
  wipe(): void {
    this.#names.clear();
    this.#durableNames.clear();
  }

  #open(life: Life, path: string, flags: string): OpenFile {
    if (!path.includes(".")) return this.#directory(life);
    let inode = this.#names.get(path);
    if (inode === undefined || flags === "w") {
      inode = flags === "r+" ? this.#find(path) : new Inode();
      this.#names.set(path, inode);
    }
    return this.#file(life, inode);
  }

  #directory(life: Life): OpenFile {
    const never = () => Promise.reject(fault("EISDIR"));
    const sync = async () => {
      await this.#sync(life, () => {
        this.#durableNames = new Map(this.#names);
      });
    };
    return { write: never, truncate: never, datasync: sync, sync, close: async () => {} };
  }

  #file(life: Life, inode: Inode): OpenFile {
    const sync = () =>
      this.#sync(
        life,
        () => inode.sync(),
        () => inode.failSync(),
      );
    return {
      write: async (bytes, offset, length, position) => {
        await life.take(WRITE_MS);
        if (this.full) throw fault("ENOSPC");
        const written = bytes.slice(offset, offset + length);
        inode.change({ kind: "write", at: position, bytes: written });
        return { bytesWritten: length };
      },
      truncate: async (length) => inode.change({ kind: "truncate", length }),
      datasync: sync,
      sync,
      close: async () => {},
    };
  }

  async #sync(life: Life, keep: () => void, fail = () => {}): Promise<void> {
    await life.take(between(this.#random, SYNC_MS_MIN, SYNC_MS_MAX));
    if (this.failingSyncs > 0) {
      this.failingSyncs -= 1;
      fail();
      throw fault("EIO");
    }
    keep();
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw fault("ENOENT");
    return inode;
  }
}

function fault(code: string): Error {
  return Object.assign(new Error(code), { code });
}
