/**
 * What a run does to servers, and what it asks them: signals by process id, and the queue's depth.
 * @module
 */
import { type Clock, messageOf, type Timer } from "../../core/index.ts";
import type { PlannedSignal } from "./scenario.ts";

const SCRAPE_MS = 1_000;

/** Why `pid` cannot be signalled, in words; null when it can. */
export function pidFault(pid: number): string | null {
  try {
    process.kill(pid, 0);
    return null;
  } catch (error) {
    return `process ${pid} cannot be signalled: ${messageOf(error)}`;
  }
}

/**
 * Sends the signals when they are due, `afterMs` later than planned. `end` lets go whoever was
 * stopped, and sends nothing more. One whose process is gone is left out: it cannot be restarted
 * from here.
 */
export function sendSignals(
  planned: readonly PlannedSignal[],
  afterMs: number,
  clock: Clock,
): { end(): void } {
  const stopped = new Set<number>();
  const timers: Timer[] = planned.map(({ atMs, pid, signal }) =>
    clock.after(afterMs + atMs, () => {
      if (!signalled(pid, signal)) return;
      if (signal === "SIGSTOP") stopped.add(pid);
      if (signal === "SIGCONT") stopped.delete(pid);
    }),
  );
  return {
    end() {
      for (const timer of timers) timer.cancel();
      for (const pid of stopped) signalled(pid, "SIGCONT");
      stopped.clear();
    },
  };
}

function signalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // It has ended meanwhile.
  }
}

/**
 * Asks the servers' `/metrics` pages once a second how many jobs are in the queue: those added minus
 * those done, over all pages. Null until all have answered, and again when one does not.
 */
export function watchQueue(
  urls: readonly string[],
  clock: Clock,
): { depth(): number | null; end(): void } {
  let depth: number | null = null;
  let ended = false;
  let timer: Timer | null = null;
  const look = async () => {
    const pages = await Promise.all(urls.map(page));
    depth = pages.includes(null) ? null : queueDepthOf(pages as string[]);
    if (!ended) timer = clock.after(SCRAPE_MS, () => void look(), { background: true });
  };
  if (urls.length > 0) void look();
  return {
    depth: () => depth,
    end() {
      ended = true;
      timer?.cancel();
    },
  };
}

async function page(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(SCRAPE_MS) });
    return response.ok ? await response.text() : null;
  } catch {
    return null; // A server that is being restarted answers nobody; the plot has a gap there.
  }
}

/** Jobs added minus jobs done in Prometheus text; null when no page has either. */
export function queueDepthOf(pages: readonly string[]): number | null {
  const lines = pages.flatMap((text) => text.split("\n"));
  const sum = (name: string) => {
    const values = lines.filter(
      (line) => line.startsWith(name) && /^[ {]/.test(line.slice(name.length)),
    );
    return values.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  };
  const added = sum("omega_queue_jobs_added_total");
  const done = sum("omega_queue_jobs_done_total");
  return added === 0 && done === 0 ? null : Math.max(0, added - done);
}
