/**
 * What was measured, as rows, ratios and text. Pure.
 * @module
 */
import { median } from "./numbers.ts";

export type Scenario = "one-in-flight" | "pipelined" | "aof-always" | "open-loop";

export type SystemName =
  | "omega-sync"
  | "omega-sync, AOF always"
  | "aedes, stores nothing"
  | "Mosquitto, stores nothing"
  | "aedes + Queue.add"
  | "Fastify + Queue.add"
  | "raw Redis RPUSH";

export interface Row {
  readonly scenario: Scenario;
  readonly system: SystemName;
  /** Acknowledged deltas. */
  readonly ratePerS: number;
  readonly ackMsP50: number;
  readonly ackMsP99: number;
  /** Of all server processes, Redis included, until the last delta was worked off. */
  readonly cpuUsPerDelta: number;
  /** Of all server processes together, at the end of a run. */
  readonly rssMiB: number;
}

export interface Ratio {
  /** Ends in "(at most)" when `floor` is an upper bound. */
  readonly name: string;
  readonly value: number;
  readonly floor: number;
}

export interface Report {
  readonly machine: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
}

const AT_MOST = " (at most)";
/** An open loop's p99 may always be this, milliseconds. */
const OPEN_LOOP_P99_MS = 15;
const FIGURES = ["ratePerS", "ackMsP50", "ackMsP99", "cpuUsPerDelta", "rssMiB"] as const;

/** One row per scenario and system: the median over the rounds of each figure. */
export function mediansOf(runs: readonly Row[]): Row[] {
  const isFirst = (row: Row, at: number) => runs.findIndex((other) => isSame(row, other)) === at;
  return runs.filter(isFirst).map((first) => {
    const rows = runs.filter((other) => isSame(first, other));
    const figures = FIGURES.map((name) => [name, rounded(median(rows.map((row) => row[name])))]);
    return { ...first, ...Object.fromEntries(figures) };
  });
}

function isSame(a: Row, b: Row): boolean {
  return a.scenario === b.scenario && a.system === b.system;
}

/** The ratios that `rows` have both sides of. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  const row = (scenario: Scenario, system: SystemName) =>
    rows.find((one) => one.scenario === scenario && one.system === system);
  const one = (system: SystemName) => row("one-in-flight", system);
  const bare = "aedes, stores nothing";
  const openBare = row("open-loop", bare);
  const openBoundMs = openBare && Math.max(OPEN_LOOP_P99_MS, 2 * openBare.ackMsP99);
  const ours = one("omega-sync");
  return [
    ratio("one in flight: rate, omega-sync / bare aedes", 0.7, ours?.ratePerS, one(bare)?.ratePerS),
    ratio(
      "one in flight: rate, omega-sync / Queue.add per message",
      ...([4, ours?.ratePerS, one("aedes + Queue.add")?.ratePerS] as const),
    ),
    ratio(
      `one in flight: CPU per delta, omega-sync / Fastify${AT_MOST}`,
      ...([0.25, ours?.cpuUsPerDelta, one("Fastify + Queue.add")?.cpuUsPerDelta] as const),
    ),
    ratio(
      "pipelined: rate, omega-sync / bare aedes",
      ...([
        0.4,
        row("pipelined", "omega-sync")?.ratePerS,
        row("pipelined", bare)?.ratePerS,
      ] as const),
    ),
    ratio(
      "one in flight: rate, AOF always / everysec",
      ...([0.9, row("aof-always", "omega-sync, AOF always")?.ratePerS, ours?.ratePerS] as const),
    ),
    ratio(
      `open loop: p99, omega-sync / max(15 ms, 2 x bare aedes)${AT_MOST}`,
      ...([1, row("open-loop", "omega-sync")?.ackMsP99, openBoundMs] as const),
    ),
  ].filter((found) => found !== null);
}

function ratio(name: string, floor: number, above?: number, below?: number): Ratio | null {
  if (above === undefined || below === undefined) return null;
  return { name, value: rounded(above / below), floor };
}

/** Whether the floor, or the upper bound, is kept. */
export function isMet({ name, value, floor }: Ratio): boolean {
  return name.endsWith(AT_MOST) ? value <= floor : value >= floor;
}

/** Three significant digits: a run on a shared machine has no more. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** The report for people. */
export function textOf({ machine, date, rows, ratios }: Report): string {
  const head = ["scenario", "system", "acked/s", "p50 ms", "p99 ms", "CPU µs/delta", "RSS MiB"];
  const cells = rows.map((row) => [
    row.scenario,
    row.system,
    ...FIGURES.map((name) => `${row[name]}`),
  ]);
  const ratioHead = ["ratio", "value", "floor", ""];
  const ratioCells = ratios.map((one) => [
    ...[one.name, `${one.value}`, `${one.floor}`, isMet(one) ? "met" : "MISSED"],
  ]);
  const tables = [columns([head, ...cells], 2), columns([ratioHead, ...ratioCells], 1)];
  return `${date}, ${machine}\n\n${tables.join("\n\n")}\n`;
}

/** Lines of cells in columns, the first `leftCount` of them flush left. */
function columns(lines: readonly (readonly string[])[], leftCount: number): string {
  const widths = (lines[0] ?? []).map((_, at) => Math.max(...lines.map((l) => l[at]?.length ?? 0)));
  const pad = (cell: string, at: number) =>
    at < leftCount ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}
