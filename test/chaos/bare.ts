/**
 * The system for comparison: what its processes are told, and what is counted in the end.
 * @module
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Queue } from "bullmq";
import { type Place, placeName } from "../../src/fleet/oracle/events.ts";
import { readHistoryFile } from "../../src/fleet/oracle/sinks.ts";
import { impatientClient } from "./redis-server.ts";

export const BARE_QUEUE = "ingest";

export interface BarePlan {
  readonly redisUrl: string;
  readonly port: number;
  readonly httpPort: number;
  readonly history: string;
}

export interface BareCount {
  readonly acked: number;
  /** Handed to a worker at least once. */
  readonly applied: number;
  readonly lost: number;
  /** Handed to a worker again, which nothing recognises. */
  readonly duplicates: number;
}

/** Jobs that wait or run, in the server on `port`; null when it cannot say. */
export async function bareDepth(port: number): Promise<number | null> {
  const connection = impatientClient(port);
  const queue = new Queue(BARE_QUEUE, { connection });
  queue.on("error", () => {});
  try {
    const counts = await queue.getJobCounts("waiting", "active", "delayed", "prioritized");
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  } catch {
    return null;
  } finally {
    connection.disconnect();
  }
}

/** What the devices were promised against what the workers were handed. */
export function countBare(historyDir: string): BareCount {
  const acked = new Set<string>();
  const handled = new Map<string, number>();
  const take = (place: Place) => {
    const name = placeName(place);
    handled.set(name, (handled.get(name) ?? 0) + 1);
  };
  for (const file of readdirSync(historyDir)) {
    for (const event of readHistoryFile(join(historyDir, file))) {
      if (event.kind === "acked") acked.add(placeName(event));
      if (event.kind === "commit") event.consumed.forEach(take);
    }
  }
  const lost = [...acked].filter((name) => !handled.has(name)).length;
  const duplicates = [...handled.values()].reduce((sum, times) => sum + times - 1, 0);
  return { acked: acked.size, applied: handled.size, lost, duplicates };
}
