/**
 * The outbox on a disk: an append log that a power loss cannot break.
 *
 *   outbox.log      records as in log-file.ts
 *   outbox.log.new  a rewrite on its way; worthless until renamed
 *   release.bin     the newest release, for a quick start
 *   model-7.bin     codec model 7; two of them at most
 *   lock            who uses the directory
 *
 * Appends that arrive while one fdatasync runs share the next one. A rewrite
 * is write, fsync, rename, fsync of the directory: at every instant the name
 * `outbox.log` leads to a whole log. After a failed write the tail is cut back
 * to the last good record; after a failed fdatasync the file is not trusted
 * any more (its dirty pages may be gone) and only a rewrite helps.
 * @module
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, sameBytes, TransportError } from "../src/core/index.ts";
import { lockDirectory } from "./directory-lock.ts";
import { FILE_HEADER, frameRecords, scanLog } from "./log-file.ts";
import type { OutboxStorage, StoredLog, StoredModel } from "./storage.ts";

const LOG_FILE = "outbox.log";
const RELEASE_FILE = "release.bin";
const MODEL_FILE = /^model-([1-9][0-9]{0,4})\.bin$/;

/** An open file or directory, as in `node:fs/promises`. */
export interface OpenFile {
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
  truncate(length: number): Promise<void>;
  datasync(): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The file operations in use, as in `node:fs/promises`; a test passes ones that fail on cue, the
 * simulator a disk of its own. `lock` takes a directory for this process and returns what gives it back.
 */
export interface FileOperations {
  open(path: string, flags: string): Promise<OpenFile>;
  readFile(path: string): Promise<Uint8Array>;
  rename(from: string, to: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  /** A file that is not there is no fault. */
  rm(path: string): Promise<void>;
  lock(directory: string): Promise<() => Promise<void>>;
}

export const REAL_FILES: FileOperations = {
  open,
  readFile,
  rename,
  mkdir: async (path) => void (await mkdir(path, { recursive: true })),
  readdir,
  rm: (path) => rm(path, { force: true }),
  lock: lockDirectory,
};

interface Waiting {
  readonly bytes: Uint8Array;
  readonly durable: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

export class FileStorage implements OutboxStorage {
  /** Few rewrites spare the flash memory of a TV. */
  readonly rewriteBytesMin = 256 * 1024;
  readonly #directory: string;
  readonly #files: FileOperations;
  #unlock: (() => Promise<void>) | null = null;
  #log: OpenFile | null = null;
  #bytes = 0;
  /** The log on disk may end in garbage or lie about what is durable. */
  #untrusted = false;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  /** `directory` is created when missing and used by this process alone. */
  constructor(directory: string, files: FileOperations = REAL_FILES) {
    this.#directory = directory;
    this.#files = files;
  }

  async open(): Promise<StoredLog> {
    await this.#files.mkdir(this.#directory);
    this.#unlock = await this.#files.lock(this.#directory);
    try {
      return await this.#openLog();
    } catch (error) {
      await this.close();
      throw writeError("open", error);
    }
  }

  async #openLog(): Promise<StoredLog> {
    const path = this.#path(LOG_FILE);
    await this.#files.rm(`${path}.new`);
    const created = await this.#files.open(path, "a");
    await created.close();
    // Not "a": appending mode would ignore the positions that a cut-back tail needs.
    const log = await this.#files.open(path, "r+");
    this.#log = log;
    const scan = scanLog(await this.#files.readFile(path));
    await log.truncate(scan.end);
    this.#bytes = scan.end;
    if (scan.end === 0) {
      await writeAll(log, FILE_HEADER, 0);
      this.#bytes = FILE_HEADER.byteLength;
      await log.datasync();
      await this.#syncDirectory();
    }
    return { records: scan.records, damaged: scan.damaged };
  }

  append(records: readonly Uint8Array[], durable: boolean): Promise<void> {
    const bytes = frameRecords(records);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, durable, resolve, reject });
      this.#writing ??= this.#writeWaiting();
    });
  }

  async #writeWaiting(): Promise<void> {
    // Let everything of this turn join the first write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch);
        for (const entry of batch) entry.resolve();
      } catch (error) {
        for (const entry of batch) entry.reject(writeError("append", error));
      }
    }
    this.#writing = null;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const log = this.#log;
    if (log === null) throw new Error("the storage is closed");
    if (this.#untrusted) throw new Error("an earlier write failed");
    const start = this.#bytes;
    let at = start;
    try {
      for (const { bytes } of batch) {
        await writeAll(log, bytes, at);
        at += bytes.byteLength;
      }
    } catch (error) {
      this.#untrusted = true;
      await log.truncate(start).then(
        () => {
          this.#untrusted = false;
        },
        () => {},
      );
      throw error;
    }
    this.#bytes = at;
    if (!batch.some((entry) => entry.durable)) return;
    try {
      await log.datasync();
    } catch (error) {
      this.#untrusted = true;
      throw error;
    }
  }

  async rewrite(records: readonly Uint8Array[]): Promise<void> {
    await this.#writing;
    const path = this.#path(LOG_FILE);
    const bytes = frameRecords(records);
    const next = await this.#writeBeside(path, [FILE_HEADER, bytes]);
    try {
      await this.#files.rename(`${path}.new`, path);
    } catch (error) {
      await next.close();
      throw writeError("rewrite", error);
    }
    // From here on the name leads to the new file, so that is where appends go.
    const old = this.#log;
    this.#log = next;
    this.#bytes = FILE_HEADER.byteLength + bytes.byteLength;
    this.#untrusted = true;
    try {
      await old?.close();
      await this.#syncDirectory();
    } catch (error) {
      throw writeError("rewrite", error);
    }
    this.#untrusted = false;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async readRelease(): Promise<Uint8Array | null> {
    return await this.#files.readFile(this.#path(RELEASE_FILE)).catch(() => null);
  }

  async writeRelease(bytes: Uint8Array): Promise<void> {
    await this.#replace(RELEASE_FILE, bytes);
  }

  async readModels(): Promise<readonly Uint8Array[]> {
    const files = await this.#modelFiles();
    const models = await Promise.all(
      [...files.values()].map((file) => this.#files.readFile(this.#path(file)).catch(() => null)),
    );
    return models.filter((model) => model !== null);
  }

  async writeModels(models: readonly StoredModel[]): Promise<void> {
    const files = await this.#modelFiles();
    for (const { version, frame } of models) {
      files.delete(version);
      const file = `model-${version}.bin`;
      const kept = await this.#files.readFile(this.#path(file)).catch(() => null);
      // A damaged file was fetched again: it must not stay for its name's sake.
      if (kept === null || !sameBytes(kept, frame)) await this.#replace(file, frame);
    }
    for (const file of files.values()) await this.#files.rm(this.#path(file));
  }

  /** By version. */
  async #modelFiles(): Promise<Map<number, string>> {
    const names = await this.#files.readdir(this.#directory).catch(() => []);
    return new Map(
      names.flatMap((name) => {
        const version = MODEL_FILE.exec(name)?.[1];
        return version === undefined ? [] : [[Number(version), name] as const];
      }),
    );
  }

  async #replace(file: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(file);
    const handle = await this.#writeBeside(path, [bytes]);
    try {
      await handle.close();
      await this.#files.rename(`${path}.new`, path);
      await this.#syncDirectory();
    } catch (error) {
      throw writeError(file, error);
    }
  }

  async close(): Promise<void> {
    await this.#writing;
    const log = this.#log;
    const unlock = this.#unlock;
    this.#log = null;
    this.#unlock = null;
    await log?.close();
    await unlock?.();
  }

  /** The parts, durable in `path`.new; the handle stays open. */
  async #writeBeside(path: string, parts: readonly Uint8Array[]): Promise<OpenFile> {
    let handle: OpenFile | null = null;
    try {
      handle = await this.#files.open(`${path}.new`, "w");
      let at = 0;
      for (const part of parts) {
        await writeAll(handle, part, at);
        at += part.byteLength;
      }
      await handle.sync();
      return handle;
    } catch (error) {
      await handle?.close().catch(() => {});
      throw writeError("rewrite", error);
    }
  }

  async #syncDirectory(): Promise<void> {
    const handle = await this.#files.open(this.#directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

async function writeAll(handle: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      bytes.byteLength - done,
      position + done,
    );
    done += bytesWritten;
  }
}

function writeError(step: string, error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  return new TransportError("outbox.write", `outbox ${step} failed: ${messageOf(error)}`, {
    cause: error,
    detail: { step },
  });
}
