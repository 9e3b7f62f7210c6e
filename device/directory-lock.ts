/**
 * One process per data directory.
 *
 * Two processes appending to one outbox would give out every seq twice. The
 * lock is a file that names its holder; a holder that no longer runs (crash,
 * kill -9, power loss) does not count. A process is named by pid, start time
 * and boot, so that a reused pid is not mistaken for the holder; where the
 * system does not tell (outside Linux), the pid alone has to do.
 * @module
 */
import { readFileSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, TransportError } from "../src/core/index.ts";

const LOCK_FILE = "lock";
const TRIES_MAX = 5;
let taken = 0;

interface Holder {
  readonly pid: number;
  readonly started: string;
  readonly boot: string;
}

/**
 * Locks `directory` and returns what gives it back.
 * Rejects `TransportError("outbox.locked")` naming the process that holds it.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_FILE);
  taken += 1;
  const mine = `${path}.${process.pid}.${taken}`;
  const content = JSON.stringify({ ...processOf(process.pid), taken });
  await writeFile(mine, content);
  try {
    for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
      if (await created(mine, path)) return () => rm(path, { force: true });
      await removeIfStale(path);
    }
  } finally {
    await rm(mine, { force: true });
  }
  throw new TransportError("outbox.locked", `${directory}: another process keeps taking the lock`);
}

/** `link` fails when the target exists: the atomic "create with content" of a file system. */
async function created(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw new TransportError("outbox.lock", `cannot lock ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function removeIfStale(path: string): Promise<void> {
  const content = await readFile(path, "utf8").catch(() => null);
  if (content === null) return;
  const holder = holderOf(content);
  if (holder !== null && isRunning(holder)) {
    throw new TransportError(
      "outbox.locked",
      `${path} is held by the running process ${holder.pid}`,
      {
        detail: { pid: holder.pid },
      },
    );
  }
  // Of several processes that find it stale, one renames it; whoever then renames the winner's
  // fresh lock sees that it is not the one it judged, and puts it back.
  const stale = `${path}.stale.${process.pid}`;
  const renamed = await rename(path, stale).then(
    () => readFile(stale, "utf8"),
    () => content,
  );
  if (renamed === content) await rm(stale, { force: true });
  else await rename(stale, path);
}

function holderOf(content: string): Holder | null {
  try {
    const holder = JSON.parse(content) as Holder;
    return Number.isInteger(holder.pid) ? holder : null;
  } catch {
    return null; // Torn by a crash while it was written: nobody holds it.
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (!hasCode(error, "EPERM")) return false;
  }
  const now = processOf(holder.pid);
  return now.boot === holder.boot && now.started === holder.started;
}

function processOf(pid: number): Holder {
  const read = (file: string) => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return "";
    }
  };
  // proc(5): the command in field 2 may hold spaces, so count from its closing bracket.
  const stat = read(`/proc/${pid}/stat`);
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  return { pid, started, boot: read("/proc/sys/kernel/random/boot_id").trim() };
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
