/**
 * What a bench says: one figure a row, the floors it is held to, and the machine it ran on. Pure
 * but for the machine's name.
 * @module
 */
import { cpus, totalmem } from "node:os";
import { columns } from "./columns.ts";

/** One measured figure. */
export interface Row {
  readonly scenario: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** A bound on a figure: `value` must be at most `bound`, or with `least` at least. */
export interface Floor {
  readonly name: string;
  readonly value: number;
  readonly bound: number;
  readonly least?: true;
  readonly unit: string;
  readonly met: boolean;
}

export interface Report {
  readonly machine: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly rows: readonly Row[];
  readonly floors: readonly Floor[];
}

export function atMost(name: string, value: number, bound: number, unit: string): Floor {
  return { name, value: rounded(value), bound, unit, met: value <= bound };
}

export function atLeast(name: string, value: number, bound: number, unit: string): Floor {
  return { name, value: rounded(value), bound, least: true, unit, met: value >= bound };
}

export function reportOf(rows: readonly Row[], floors: readonly Floor[]): Report {
  const exact = rows.map((row) => ({ ...row, value: rounded(row.value) }));
  return { machine: machineName(), date: today(), rows: exact, floors };
}

/** The report for people. */
export function textOf({ machine, date, rows, floors }: Report): string {
  const cells = rows.map(({ scenario, name, value, unit }) => [scenario, name, `${value}`, unit]);
  const verdicts = floors.map(({ name, value, bound, least, unit, met }) => [
    ...[name, `${value}`, `${least ? "≥" : "≤"} ${bound}`, unit, met ? "met" : "MISSED"],
  ]);
  const tables = [
    columns([["scenario", "figure", "value", "unit"], ...cells], "llrl"),
    columns([["floor", "value", "bound", "unit", ""], ...verdicts], "lrrll"),
  ];
  return `${date}, ${machine}\n\n${tables.join("\n\n")}\n`;
}

/** Three significant digits: a run on a shared machine has no more. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** YYYY-MM-DD, UTC. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Processors, memory, system and Node. */
export function machineName(): string {
  const memoryGiB = Math.round(totalmem() / 1024 ** 3);
  const node = `node ${process.versions.node}`;
  return `${cpus().length} × ${cpus()[0]?.model}, ${memoryGiB} GiB, ${process.platform}, ${node}`;
}
