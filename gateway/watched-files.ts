/**
 * Files that may change while the gateway runs: looked at every second, read
 * again when they are others, and at a signal.
 *
 * By looking instead of `fs.watch`, which misses changes on network file systems
 * and when a whole directory is swapped, as Kubernetes does with secrets. What
 * cannot be used is refused loudly and the gateway goes on with what it has: a
 * half-written file must not lock a fleet out, nor let anyone in.
 * @module
 */
import { type BigIntStats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { type Clock, messageOf, type Timer } from "../src/core/index.ts";
import type { Counter, Logger, Metrics } from "../src/observe/index.ts";

/** Time between two looks; with it a change is in force within 2 s. */
const LOOK_INTERVAL_MS = 1_000;

/** Files that make sense only together, such as a certificate and its key. */
export interface FileGroup {
  /** What they are, for logs and metrics. */
  readonly what: string;
  readonly files: readonly string[];
  /** Reads them and puts them in force, or throws and changes nothing. */
  readonly reload: () => void;
}

export interface WatchedFilesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class WatchedFiles {
  readonly #options: WatchedFilesOptions;
  readonly #groups: { readonly group: FileGroup; seen: string }[] = [];
  readonly #reloads: Counter;
  #timer: Timer | null = null;
  #stopped = false;

  constructor(options: WatchedFilesOptions) {
    this.#options = options;
    this.#reloads = options.metrics.counter(
      "omega_gateway_reloads_total",
      "Files read again because they changed or at a signal, by outcome",
      ["what", "outcome"],
    );
  }

  /** Watches `group` from this moment on; its first reading is the caller's, and comes after. */
  add(group: FileGroup): void {
    this.#groups.push({ group, seen: group.files.map(faceOfNow).join(" ") });
  }

  /** Whether there is anything to watch. */
  get any(): boolean {
    return this.#groups.length > 0;
  }

  start(): void {
    if (this.any && this.#timer === null && !this.#stopped) this.#arm();
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Reads every file again, changed or not. Never throws. */
  reload(): void {
    for (const entry of this.#groups) {
      entry.seen = entry.group.files.map(faceOfNow).join(" ");
      this.#read(entry.group);
    }
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(LOOK_INTERVAL_MS, () => void this.#look(), {
      background: true,
    });
  }

  async #look(): Promise<void> {
    for (const entry of this.#groups) {
      const faces = await Promise.all(entry.group.files.map(faceOf));
      const face = faces.join(" ");
      if (this.#stopped) return;
      if (face === entry.seen) continue;
      entry.seen = face;
      this.#read(entry.group);
    }
    this.#arm();
  }

  #read({ what, files, reload }: FileGroup): void {
    const { log } = this.#options;
    try {
      reload();
      this.#reloads.add(1, { what, outcome: "in_force" });
      log.info("gateway.files.reloaded", { what, files });
    } catch (error) {
      this.#reloads.add(1, { what, outcome: "refused" });
      const message = messageOf(error);
      log.error("gateway.files.refused", { what, files, message, effect: "the old ones stay" });
    }
  }
}

/** Two files with one face are the same: another content has another time or another inode. */
const face = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats) => [ino, size, mtimeNs, ctimeNs].join();

const ABSENT = "absent";

function faceOfNow(file: string): string {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? ABSENT : face(stats);
}

function faceOf(file: string): Promise<string> {
  return stat(file, { bigint: true }).then(face, () => ABSENT);
}
