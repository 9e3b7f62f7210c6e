/**
 * What a scenario is, and how one server is restarted in it.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { FleetResult } from "../../src/fleet/load/index.ts";
import type { Floor, Row } from "../support/report.ts";
import type { Server } from "../support/server.ts";

interface Found {
  readonly rows: readonly Row[];
  readonly floors: readonly Floor[];
}

export type Scenario = (of: { readonly say: (line: string) => void }) => Promise<Found>;

/** The time a restart took, by the load's clock: seconds since the load began. */
export interface Restart {
  readonly server: string;
  readonly fromS: number;
  /** When the process had ended. */
  readonly endedS: number;
  readonly untilS: number;
}

/** SIGTERM, the end awaited, started again; then `restMs` for the others to notice. */
export async function restart(
  server: Server,
  { sinceMs, restMs }: { readonly sinceMs: number; readonly restMs: number },
): Promise<Restart> {
  const nowS = () => (performance.now() - sinceMs) / 1_000;
  const fromS = nowS();
  await server.terminate();
  const endedS = nowS();
  await server.startAgain();
  await sleep(restMs);
  return { server: server.name, fromS, endedS, untilS: nowS() };
}

/** Throws when a restart was not over while the load still pushed: its figures would say nothing. */
export function requireLoaded(
  restarts: readonly Restart[],
  { rampS, durationS }: FleetResult,
): void {
  const late = restarts.find(({ untilS }) => untilS > rampS + durationS);
  if (late === undefined) return;
  throw new Error(
    `the load ended before ${late.server} was back: the machine is too busy for this`,
  );
}

/** The longest time from when a delta was due to its PUBACK, of those that ended in these seconds. */
export function worstMs({ moments }: FleetResult, fromS: number, untilS: number): number {
  const within = moments.filter(({ second }) => second > fromS && second - 1 <= untilS);
  return Math.max(0, ...within.map(({ ackMs }) => ackMs.max));
}

/**
 * Of each restart the longest such time until the next one began, of the last until the load was over:
 * a server may be back for long before those who lost it are.
 */
export function worstAround(result: FleetResult, restarts: readonly Restart[]): number[] {
  return restarts.map(({ fromS }, index) => {
    return worstMs(result, fromS, restarts[index + 1]?.fromS ?? Number.POSITIVE_INFINITY);
  });
}
