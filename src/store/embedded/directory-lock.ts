/**
 * One process per data directory.
 *
 * PGlite lets two processes open one directory and both corrupt it, and Node has no flock. So: lock files with rising numbers.
 *
 *   omega.lock.7   {"pid":4711,"start":"81237","boot":"…","namespace":"…","state":"held"}
 *
 * The file with the highest number is the lock. To take a free or stale lock
 * n, link(2) a finished file to n + 1: the kernel lets one contender win, and the
 * holder's file is never touched by anyone else. Old numbers are deleted only after
 * that, and a contender that was asleep meanwhile and still linked an old number finds
 * a higher one when it looks again, and withdraws. So two never both win, whatever the timing.
 *
 * Held means: that process lives. A pid alone is not enough, since pids come
 * back; with the process' start time and the boot it is. A holder in another
 * pid namespace (a second container on the volume) cannot be looked up: it
 * proves itself by touching its file, and is given a few beats to do so.
 * @module
 */
import {
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Clock, messageOf, sleep, type Timer, TransportError } from "../../core/index.ts";

const PREFIX = "omega.lock.";
const BEAT_MS = 1_000;
/** Beats without a touch after which a holder in another namespace is taken for dead. */
const BEATS_MISSED_MAX = 5;
const ATTEMPTS_MAX = 32;

interface Holder {
  readonly pid: number;
  /** Clock ticks from boot to the process' start; empty where the system does not say. */
  readonly start: string;
  readonly boot: string;
  readonly namespace: string;
  readonly state: "held" | "released";
}

export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

/**
 * Takes the lock of `dir`, which must exist. Throws `TransportError("embedded.locked")`
 * that names the directory and the holder's pid while another process, or this one, holds it, and
 * `TransportError("embedded.unwritable")` when nothing can be written there: a full disk.
 */
export async function lockDirectory(dir: string, clock: Clock): Promise<DirectoryLock> {
  try {
    return await take(dir, clock);
  } catch (error) {
    if (error instanceof TransportError) throw error;
    const message = `cannot write to the data directory ${dir}: ${messageOf(error)}`;
    throw new TransportError("embedded.unwritable", message, { cause: error });
  }
}

async function take(dir: string, clock: Clock): Promise<DirectoryLock> {
  const self = describe(process.pid);
  const draft = join(dir, `${PREFIX}draft-${process.pid}-${self.start}-${clock.monotonicMs()}`);
  try {
    writeFileSync(draft, JSON.stringify(self));
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const newest = newestNumber(dir);
      if (newest > 0) await requireFree(dir, newest, self, clock);
      const mine = newest + 1;
      if (!linked(draft, fileOf(dir, mine))) continue;
      if (newestNumber(dir) > mine) {
        rmSync(fileOf(dir, mine), { force: true });
        continue;
      }
      clearBefore(dir, mine);
      return hold(dir, mine, self, clock);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new TransportError("embedded.locked", `${dir}: too many processes want this directory`);
}

function hold(dir: string, number: number, self: Holder, clock: Clock): DirectoryLock {
  const file = fileOf(dir, number);
  let released = false;
  let timer: Timer | null = null;
  const beat = () => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      // Someone removed the directory under us; the database will say so more clearly.
    }
    timer = clock.after(BEAT_MS, beat, { background: true });
  };
  beat();
  return {
    release() {
      if (released) return;
      released = true;
      timer?.cancel();
      const draft = `${file}-released`;
      // Replaced in one step and not deleted: a lower number must never become the highest again.
      try {
        writeFileSync(draft, JSON.stringify({ ...self, state: "released" } satisfies Holder));
        renameSync(draft, file);
      } catch {
        // The directory is gone, and the lock with it.
      }
    },
  };
}

async function requireFree(dir: string, number: number, self: Holder, clock: Clock): Promise<void> {
  const file = fileOf(dir, number);
  const holder = readHolder(file);
  // Gone: a newer one took over meanwhile; linking decides.
  if (holder === null || holder.state === "released") return;
  if (holder.boot !== self.boot && holder.namespace === self.namespace) return;
  const visible = holder.namespace === self.namespace && holder.boot === self.boot;
  const alive = visible ? isAlive(holder) : await beats(file, clock);
  if (!alive) return;
  throw new TransportError(
    "embedded.locked",
    `the data directory ${dir} is in use by process ${holder.pid}; stop it or choose another directory`,
    { detail: { dir, pid: holder.pid } },
  );
}

function isAlive(holder: Holder): boolean {
  if (isZombie(holder.pid)) return false;
  const now = describe(holder.pid);
  if (now.start !== "" && holder.start !== "") return now.start === holder.start;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Whether the holder touches its file while we watch. */
async function beats(file: string, clock: Clock): Promise<boolean> {
  const before = touchedMs(file);
  for (let beat = 0; beat < BEATS_MISSED_MAX; beat += 1) {
    await sleep(clock, BEAT_MS);
    if (touchedMs(file) !== before) return true;
  }
  return false;
}

function touchedMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function describe(pid: number): Holder {
  const boot = readText("/proc/sys/kernel/random/boot_id").trim();
  // Field 22, counted after the command name, which may hold spaces and brackets (proc(5)).
  const stat = readText(`/proc/${pid}/stat`);
  const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  return { pid, start, boot, namespace: namespaceId(), state: "held" };
}

/** Killed, but not yet taken note of by its parent: holds no file any more. */
function isZombie(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  return /^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

function namespaceId(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function readHolder(file: string): Holder | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch {
    return null;
  }
}

function fileOf(dir: string, number: number): string {
  return join(dir, `${PREFIX}${number}`);
}

function numbers(dir: string): number[] {
  return readdirSync(dir).flatMap((name) => {
    const match = /^omega\.lock\.(\d+)$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function newestNumber(dir: string): number {
  return Math.max(0, ...numbers(dir));
}

function clearBefore(dir: string, number: number): void {
  for (const older of numbers(dir)) {
    if (older < number) rmSync(fileOf(dir, older), { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}
