/**
 * What a run says in the end: one object, or the same in words. Pure.
 * @module
 */
import { columns } from "../../bench/support/columns.ts";
import { INVARIANTS, type Violation } from "../../src/fleet/oracle/violation.ts";
import type { Verdict } from "./judge.ts";
import type { Outcome } from "./run.ts";

/** Sums over all backends. */
export interface Report extends Verdict {
  /** Fault events that were done. */
  readonly events: number;
  /** Devices that held the newest release in time, of all backends together. */
  readonly converged: number;
  readonly devices: number;
  /** The longest that any backend took from the last fault to rest, seconds. */
  readonly restS: number;
  readonly byFault: Readonly<Record<string, number>>;
  readonly backends: readonly Outcome[];
}

const VIOLATIONS_SHOWN = 20;

export function reportOf(outcomes: readonly Outcome[]): Report {
  const sum = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const byFault: Record<string, number> = {};
  for (const outcome of outcomes) {
    for (const [kind, count] of Object.entries(outcome.byFault)) {
      byFault[kind] = (byFault[kind] ?? 0) + count;
    }
  }
  return {
    events: Object.values(byFault).reduce((total, count) => total + count, 0),
    acked: sum(({ acked }) => acked),
    applied: sum(({ applied }) => applied),
    lost: sum(({ lost }) => lost),
    duplicates: sum(({ duplicates }) => duplicates),
    recognised: sum(({ recognised }) => recognised),
    deadLettered: sum(({ deadLettered }) => deadLettered),
    converged: sum(({ converged }) => converged),
    devices: sum(({ devices }) => devices),
    restS: Math.max(0, ...outcomes.map(({ restMs }) => restMs)) / 1_000,
    byFault: Object.fromEntries(Object.entries(byFault).sort(([a], [b]) => a.localeCompare(b))),
    violations: outcomes.flatMap(({ violations }) => violations),
    backends: outcomes,
  };
}

/** The report for people. */
export function textOf(report: Report): string {
  const head = [
    "backend",
    "faults",
    "acked",
    "applied",
    "lost",
    "twice",
    "dead",
    "converged",
    "rest s",
  ];
  const rows = report.backends.map((outcome) => {
    const faults = Object.values(outcome.byFault).reduce((total, count) => total + count, 0);
    const { acked, applied, lost, duplicates, deadLettered } = outcome;
    const figures = [faults, acked, applied, lost, duplicates, deadLettered].map(String);
    const converged = `${outcome.converged} of ${outcome.devices}`;
    return [outcome.backend, ...figures, converged, (outcome.restMs / 1_000).toFixed(1)];
  });
  const faults = Object.entries(report.byFault).map(([kind, count]) => [kind, `${count}`]);
  const verdict =
    report.violations.length === 0
      ? "nothing was violated"
      : [`${report.violations.length} violations`, ...shown(report.violations)].join("\n");
  return [columns([head, ...rows], "lrrrrrrrr"), columns(faults, "lr"), verdict, ""].join("\n\n");
}

function shown(violations: readonly Violation[]): string[] {
  const lines = violations
    .slice(0, VIOLATIONS_SHOWN)
    .map(({ invariant, what }) => `${invariant} (${INVARIANTS[invariant]}): ${what.slice(0, 400)}`);
  const more = violations.length - lines.length;
  return more > 0 ? [...lines, `and ${more} more`] : lines;
}
