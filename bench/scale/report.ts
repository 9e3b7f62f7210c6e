/**
 * What was measured, as rows, ratios and text. Pure.
 *
 * Rows are medians over the rounds. A ratio is the median of the ratios of each round, whose two
 * sides ran seconds apart.
 * @module
 */
import { columns } from "../support/columns.ts";
import { othersText } from "../support/machine.ts";
import { median } from "../support/numbers.ts";
import { rounded } from "../support/report.ts";
import type { CodecId } from "./frame-pool.ts";
import type { Dimension } from "./points.ts";

export interface Row {
  readonly dimension: Dimension;
  /** The value of what is varied. */
  readonly at: number;
  readonly codec: CodecId;
  /** CPU of all three processes, until the last delta was applied. */
  readonly cpuUsPerDelta: number;
  readonly gatewayUs: number;
  readonly redisUs: number;
  readonly aggregatorUs: number;
  /** Resident memory of the aggregator at the end of a run. */
  readonly aggregatorRssMiB: number;
  /** What Redis held then, by its own count: state, and no job any more. */
  readonly redisMiB: number;
  /** Of one delta's frame, on average. */
  readonly frameBytes: number;
  /** Acknowledged deltas. */
  readonly ratePerS: number;
  /** What processes that are none of this point's used meanwhile, cores. */
  readonly othersCores: number;
}

/** One row of one round, from 1. */
export interface Run extends Row {
  readonly round: number;
}

/** An upper bound: `value` must be at most `floor`. */
export interface Ratio {
  /** Ends in "(at most)". */
  readonly name: string;
  readonly value: number;
  readonly floor: number;
  /** One a round; `value` is their median. */
  readonly rounds: readonly number[];
}

export interface Report {
  readonly machine: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  /** Median of the rows'. */
  readonly othersCores: number;
}

const FIGURES = [
  "cpuUsPerDelta",
  "gatewayUs",
  "redisUs",
  "aggregatorUs",
  "aggregatorRssMiB",
  "redisMiB",
  "frameBytes",
  "ratePerS",
  "othersCores",
] as const;
const COST_MAX = 1.2;
const DEVICE_BYTES_MAX = 1_536;
const MIB = 1024 ** 2;

/** All of the report but where and when. Nothing is judged by a run too short for it. */
export function figuresOf(
  runs: readonly Run[],
  isJudged: boolean,
): Pick<Report, "rows" | "ratios" | "othersCores"> {
  const othersCores = rounded(median(runs.map((run) => run.othersCores)));
  return { rows: mediansOf(runs), ratios: isJudged ? ratiosOf(runs) : [], othersCores };
}

/** One row per point and codec, in the order in which they came first. */
export function mediansOf(runs: readonly Run[]): Row[] {
  const isFirst = (run: Run, at: number) => runs.findIndex((other) => isSame(run, other)) === at;
  return runs.filter(isFirst).map(({ round: _, ...first }) => {
    const same = runs.filter((other) => isSame(first, other));
    const figures = FIGURES.map((name) => [name, rounded(median(same.map((run) => run[name])))]);
    return { ...first, ...Object.fromEntries(figures) };
  });
}

function isSame(a: Row, b: Row): boolean {
  return a.dimension === b.dimension && a.at === b.at && a.codec === b.codec;
}

/** What 50,000 devices must not cost beyond fewer; nothing when those were not both measured. */
export function ratiosOf(runs: readonly Run[]): Ratio[] {
  const ofCodec = ([0, 1] as const).map((codec) => {
    const name = `cost per delta, 50,000 devices / 1,000, codec ${codec} (at most)`;
    const pairs = pairsOf(runs, codec, 1_000);
    return ratio(
      name,
      COST_MAX,
      pairs.map(([many, few]) => many.cpuUsPerDelta / few.cpuUsPerDelta),
    );
  });
  const memory = ratio(
    "aggregator RSS per device from 10,000 on, bytes, at 10 patterns each (at most)",
    DEVICE_BYTES_MAX,
    [...pairsOf(runs, 0, 10_000), ...pairsOf(runs, 1, 10_000)].map(
      ([many, few]) => ((many.aggregatorRssMiB - few.aggregatorRssMiB) * MIB) / (many.at - few.at),
    ),
  );
  return [...ofCodec, memory].filter((found) => found !== null);
}

/** Of each round, the run with 50,000 devices and the one with `fewer`. */
function pairsOf(runs: readonly Run[], codec: CodecId, fewer: number): [Run, Run][] {
  const find = (at: number, round: number) =>
    runs.find(
      (run) =>
        run.dimension === "devices" && run.at === at && run.codec === codec && run.round === round,
    );
  const rounds = [...new Set(runs.map(({ round }) => round))];
  return rounds.flatMap((round): [Run, Run][] => {
    const [many, few] = [find(50_000, round), find(fewer, round)];
    return many === undefined || few === undefined ? [] : [[many, few]];
  });
}

function ratio(name: string, floor: number, rounds: readonly number[]): Ratio | null {
  if (rounds.length === 0) return null;
  return { name, value: rounded(median(rounds)), floor, rounds: rounds.map(rounded) };
}

/** The report for people. */
export function textOf({ machine, date, rows, ratios, othersCores }: Report): string {
  const head = [
    ...["against", "at", "codec", "µs/delta", "of the first", "gateway", "redis", "aggregator"],
    ...["RSS MiB", "Redis MiB", "frame bytes", "acked/s"],
  ];
  const cells = rows.map((row) => [
    ...[row.dimension, `${row.at}`, `${row.codec}`, `${row.cpuUsPerDelta}`],
    `${(row.cpuUsPerDelta / firstOf(rows, row).cpuUsPerDelta).toFixed(2)}`,
    ...[row.gatewayUs, row.redisUs, row.aggregatorUs].map(String),
    ...[row.aggregatorRssMiB, row.redisMiB, row.frameBytes, row.ratePerS].map(String),
  ]);
  const verdicts = ratios.map(({ name, value, floor, rounds }) => [
    ...[name, `${value}`, `${floor}`, value <= floor ? "met" : "MISSED", rounds.join(" ")],
  ]);
  const tables = [columns([head, ...cells], "lrrrrrrrrrrr")];
  if (verdicts.length > 0) {
    tables.push(columns([["ratio", "value", "floor", "", "rounds"], ...verdicts], "lrrll"));
  }
  tables.push(othersText(othersCores));
  return `${date}, ${machine}\n\n${tables.join("\n\n")}\n`;
}

/** The row of the first point of the same dimension and codec. */
function firstOf(rows: readonly Row[], of: Row): Row {
  return rows.find((row) => row.dimension === of.dimension && row.codec === of.codec) ?? of;
}
