/**
 * What was measured, as rows, ratios and text. Pure.
 *
 * Rows are medians over the rounds. A ratio is the median of the ratios of each round, whose two
 * sides ran seconds apart: what slows the machine for a while slows both. A row whose load came from
 * a generator that was itself at its limit says so, and so does every ratio that leans on it.
 * @module
 */
import { columns } from "../support/columns.ts";
import { othersText } from "../support/machine.ts";
import { median } from "../support/numbers.ts";
import { rounded } from "../support/report.ts";

export const SCENARIOS = [
  "one-in-flight",
  "aof-always",
  "pipelined",
  "open-loop",
  "durability",
] as const;
export type Scenario = (typeof SCENARIOS)[number];

export type SystemName =
  | "omega-sync"
  | "omega-sync, as shipped"
  | "omega-sync, no fold"
  | "omega-sync, AOF always"
  | "omega-sync, memory"
  | "omega-sync, replicated"
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
  /** From the end of the load until its last delta was worked off, milliseconds. */
  readonly behindMs: number;
  /** Which process spent how much of `cpuUsPerDelta`. */
  readonly cpuUsPerDeltaOf: Readonly<Record<string, number>>;
  /** CPU of the load generator, cores. */
  readonly generatorCores: number;
  /** Share of the time in which its event loop did not wait, 0–1. */
  readonly generatorBusy: number;
  /** 99 % of the requests of an open loop left at most so late, milliseconds; else 0. */
  readonly generatorLateMsP99: number;
  /** Whether the generator, not the server, may have been what limited this. */
  readonly generatorLimited: boolean;
  /** What processes that are none of the bench's used meanwhile, cores. */
  readonly othersCores: number;
}

/** One row of one round, from 1. */
export interface Run extends Row {
  readonly round: number;
}

export interface Ratio {
  /** Ends in "(at most)" when `floor` is an upper bound. */
  readonly name: string;
  readonly value: number;
  readonly floor: number;
  /** One a round; `value` is their median. */
  readonly rounds: readonly number[];
  readonly generatorLimited: boolean;
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

const AT_MOST = " (at most)";
const LIMITED = "*";
/** An open loop's p99 may always be this, milliseconds. */
const OPEN_LOOP_P99_MS = 15;
/** An event loop busier than this had no time left that it did not use. */
const GENERATOR_BUSY_MAX = 0.9;
/** What was sent later than this is late by the generator's own fault, milliseconds. */
const GENERATOR_LATE_MS_MAX = 5;
const SHOWN = [
  ...(["ratePerS", "ackMsP50", "ackMsP99"] as const),
  ...(["cpuUsPerDelta", "rssMiB", "behindMs"] as const),
];
const FIGURES = [
  ...SHOWN,
  "generatorCores",
  "generatorBusy",
  "generatorLateMsP99",
  "othersCores",
] as const;

/** Whether a generator that measured this of itself may have been the limit. */
export function isGeneratorLimited(of: {
  readonly busy: number;
  readonly cores: number;
  readonly lateMsP99: number;
}): boolean {
  const isBusy = Math.max(of.busy, of.cores) > GENERATOR_BUSY_MAX;
  return isBusy || of.lateMsP99 > GENERATOR_LATE_MS_MAX;
}

/** All of the report but where and when. */
export function figuresOf(runs: readonly Run[]): Pick<Report, "rows" | "ratios" | "othersCores"> {
  const othersCores = rounded(median(runs.map((run) => run.othersCores)));
  return { rows: mediansOf(runs), ratios: ratiosOf(runs), othersCores };
}

/** One row per scenario and system: the median over the rounds of each figure. */
export function mediansOf(runs: readonly Run[]): Row[] {
  const isFirst = (run: Run, at: number) => runs.findIndex((other) => isSame(run, other)) === at;
  return runs.filter(isFirst).map(({ round: _, ...first }) => {
    const same = runs.filter((other) => isSame(first, other));
    const middle = (pick: (run: Run) => number) => rounded(median(same.map(pick)));
    const parts = Object.keys(first.cpuUsPerDeltaOf);
    return {
      ...first,
      ...Object.fromEntries(FIGURES.map((name) => [name, middle((run) => run[name])])),
      cpuUsPerDeltaOf: Object.fromEntries(
        parts.map((part) => [part, middle((run) => run.cpuUsPerDeltaOf[part] ?? 0)]),
      ),
      generatorLimited: same.some((run) => run.generatorLimited),
    };
  });
}

function isSame(a: Row, b: Row): boolean {
  return a.scenario === b.scenario && a.system === b.system;
}

type Figure = (typeof SHOWN)[number];

/** `above` ÷ `below` of one scenario; of `above` alone when there is no `below`. */
interface RatioRule {
  readonly name: string;
  readonly floor: number;
  readonly scenario: Scenario;
  readonly figure: Figure;
  readonly above: SystemName;
  readonly below?: SystemName;
  /** What to divide by, when that is not the figure itself. */
  readonly divisor?: (below: number) => number;
}

const RULES: readonly RatioRule[] = [
  {
    name: "one in flight: rate, omega-sync / bare aedes",
    ...{ floor: 0.7, scenario: "one-in-flight", figure: "ratePerS" },
    ...{ above: "omega-sync", below: "aedes, stores nothing" },
  },
  {
    name: "one in flight: rate, omega-sync / Queue.add per message",
    ...{ floor: 4, scenario: "one-in-flight", figure: "ratePerS" },
    ...{ above: "omega-sync", below: "aedes + Queue.add" },
  },
  {
    name: `one in flight: CPU per delta, omega-sync / Fastify${AT_MOST}`,
    ...{ floor: 0.25, scenario: "one-in-flight", figure: "cpuUsPerDelta" },
    ...{ above: "omega-sync", below: "Fastify + Queue.add" },
  },
  {
    name: `one in flight: CPU µs per delta, gateway + Redis + queue worker${AT_MOST}`,
    ...{ floor: 50, scenario: "one-in-flight", figure: "cpuUsPerDelta" },
    above: "omega-sync, no fold",
  },
  {
    name: "pipelined: rate, omega-sync / bare aedes",
    ...{ floor: 0.4, scenario: "pipelined", figure: "ratePerS" },
    ...{ above: "omega-sync", below: "aedes, stores nothing" },
  },
  {
    name: "one in flight: rate, AOF always / everysec",
    ...{ floor: 0.9, scenario: "aof-always", figure: "ratePerS" },
    ...{ above: "omega-sync, AOF always", below: "omega-sync" },
  },
  {
    name: "durability: rate, replicated / aof",
    ...{ floor: 0.8, scenario: "durability", figure: "ratePerS" },
    ...{ above: "omega-sync, replicated", below: "omega-sync, AOF always" },
  },
  {
    name: `durability: CPU per delta, replicated / aof${AT_MOST}`,
    ...{ floor: 1.5, scenario: "durability", figure: "cpuUsPerDelta" },
    ...{ above: "omega-sync, replicated", below: "omega-sync, AOF always" },
  },
  {
    name: `open loop: p99, omega-sync / max(15 ms, 2 x bare aedes)${AT_MOST}`,
    ...{ floor: 1, scenario: "open-loop", figure: "ackMsP99" },
    ...{ above: "omega-sync, as shipped", below: "aedes, stores nothing" },
    divisor: (bareMs) => Math.max(OPEN_LOOP_P99_MS, 2 * bareMs),
  },
];

/** The ratios that `runs` have both sides of. */
export function ratiosOf(runs: readonly Run[]): Ratio[] {
  return RULES.flatMap((rule) => {
    const { name, floor, figure, below, divisor = (value) => value } = rule;
    const sides = sidesOf(rule, runs);
    if (sides.length === 0) return [];
    const rounds = sides.map(([above, beside]) =>
      below === undefined ? above[figure] : above[figure] / divisor(beside[figure]),
    );
    return {
      ...{ name, value: rounded(median(rounds)), floor, rounds: rounds.map(rounded) },
      generatorLimited: sides.flat().some((run) => run.generatorLimited),
    };
  });
}

/** Of each round that has both, the run above and the run below the line. */
function sidesOf({ scenario, above, below = above }: RatioRule, runs: readonly Run[]) {
  return runs.flatMap((run): [Run, Run][] => {
    if (run.scenario !== scenario || run.system !== above) return [];
    const isOther = (other: Run) => isSame({ ...run, system: below }, other);
    const beside = runs.find((other) => other.round === run.round && isOther(other));
    return beside === undefined ? [] : [[run, beside]];
  });
}

/** Whether the floor, or the upper bound, is kept. */
export function isMet({ name, value, floor }: Ratio): boolean {
  return name.endsWith(AT_MOST) ? value <= floor : value >= floor;
}

/** The report for people. */
export function textOf({ machine, date, rows, ratios, othersCores }: Report): string {
  const head = [
    ...["scenario", "system", "acked/s", "p50 ms", "p99 ms"],
    ...["CPU µs/delta", "RSS MiB", "behind ms"],
  ];
  const cells = rows.map((row) => [
    ...[row.scenario, row.system, ...SHOWN.map((name) => `${row[name]}`)],
    `${row.generatorCores} / ${row.generatorBusy}${row.generatorLimited ? LIMITED : ""}`,
    partsOf(row),
  ]);
  const ratioCells = ratios.map((one) => [
    ...[one.name, `${one.value}${one.generatorLimited ? LIMITED : ""}`, `${one.floor}`],
    ...[isMet(one) ? "met" : "MISSED", one.rounds.join(" ")],
  ]);
  const tables = [
    columns([[...head, "generator", "CPU µs/delta of each process"], ...cells], "llrrrrrrrl"),
    columns([["ratio", "value", "floor", "", "rounds"], ...ratioCells], "lrrll"),
    `generator: cores used / share of the time busy. ${LIMITED} the load generator may have been the limit.\n${othersText(othersCores)}`,
  ];
  return `${date}, ${machine}\n\n${tables.join("\n\n")}\n`;
}

function partsOf({ cpuUsPerDeltaOf }: Row): string {
  const parts = Object.entries(cpuUsPerDeltaOf);
  return parts.map(([part, us]) => `${part} ${us}`).join(", ");
}
