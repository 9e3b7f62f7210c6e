/**
 * The demo's verdict, from what the TVs were promised and what the store holds.
 *
 * The two sides are counted independently: acknowledgements by the TVs that
 * received them, applications by the store's own commits. They must agree.
 * @module
 */
import type { Percentiles, Scoreboard } from "../../fleet/index.ts";
import type { DeviceCursor, ShardStats } from "../../store/index.ts";

export interface DemoResult {
  readonly devices: number;
  /** Distinct deltas with a PUBACK. */
  readonly acked: number;
  readonly applied: number;
  /** Deltas that arrived again and changed nothing. */
  readonly duplicates: number;
  readonly deadLettered: number;
  /** Deltas with a PUBACK that the store has never consumed. */
  readonly lost: number;
  readonly version: number;
  /** TVs that hold the newest version. */
  readonly converged: number;
  readonly pushBytes: Pick<Percentiles, "p50" | "p95" | "max">;
  readonly pullBytes: Pick<Percentiles, "p50" | "p95" | "max">;
  readonly ackMs: Pick<Percentiles, "p50" | "p99">;
  readonly gatewayKills: number;
  /** Sums that differ from a recomputation out of the registers. */
  readonly mismatches: number;
  readonly verdict: string;
}

export interface DemoFacts {
  readonly devices: number;
  readonly scoreboard: Scoreboard;
  /** What the store counted since the demo began, over all shards. */
  readonly stats: ShardStats;
  readonly lost: number;
  readonly version: number;
  readonly converged: number;
  readonly gatewayKills: number;
  readonly mismatches: number;
}

/** Acked `epoch/seq` names that the cursor does not cover. */
export function lostOf(acked: ReadonlySet<string>, cursor: DeviceCursor | null): number {
  let lost = 0;
  for (const name of acked) {
    const [epoch, seq] = name.split("/").map(Number);
    if (!isConsumed(cursor, epoch ?? 0, seq ?? 0)) lost += 1;
  }
  return lost;
}

function isConsumed(cursor: DeviceCursor | null, epoch: number, seq: number): boolean {
  const known = cursor?.epochs.find((candidate) => candidate.epoch === epoch);
  if (known === undefined) return false;
  if (seq <= known.low) return true;
  const bit = seq - known.low - 1;
  // Beyond 2^31 the shifts below would wrap round into the window.
  if (bit >= 8 * known.ahead.length) return false;
  return ((known.ahead[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
}

export function judge(facts: DemoFacts): DemoResult {
  const { scoreboard, stats, devices } = facts;
  const push = scoreboard.pushBytes.percentiles();
  const pull = scoreboard.pullBytes.percentiles();
  const ack = scoreboard.ackMs.percentiles();
  const faults = faultsOf(facts);
  return {
    devices,
    acked: scoreboard.acked,
    applied: stats.applied,
    duplicates: stats.duplicates,
    deadLettered: stats.deadLettered,
    lost: facts.lost,
    version: facts.version,
    converged: facts.converged,
    pushBytes: { p50: push.p50, p95: push.p95, max: push.max },
    pullBytes: { p50: pull.p50, p95: pull.p95, max: pull.max },
    ackMs: { p50: Math.round(ack.p50), p99: Math.round(ack.p99) },
    gatewayKills: facts.gatewayKills,
    mismatches: facts.mismatches,
    verdict: faults.length === 0 ? "ok" : faults.join("; "),
  };
}

function faultsOf({ scoreboard, stats, ...facts }: DemoFacts): string[] {
  const faults: string[] = [];
  if (scoreboard.acked === 0) faults.push("nothing was acknowledged");
  if (facts.lost > 0) faults.push(`${facts.lost} acknowledged deltas are lost`);
  if (stats.applied !== scoreboard.acked) {
    faults.push(`${scoreboard.acked} deltas were acknowledged and ${stats.applied} applied`);
  }
  // A dead letter beside a doubled delta would leave the two counts equal.
  if (stats.deadLettered > 0) faults.push(`${stats.deadLettered} deltas were dead-lettered`);
  if (facts.version === 0) faults.push("no version was released");
  if (facts.converged !== facts.devices) {
    faults.push(`${facts.converged} of ${facts.devices} devices hold version ${facts.version}`);
  }
  if (facts.mismatches > 0) faults.push(`${facts.mismatches} sums differ from their registers`);
  return faults;
}
