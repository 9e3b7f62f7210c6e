/**
 * From results to the plot: panels for the push and the pull of every set, with the curve that ours
 * makes when it is given other budgets.
 * @module
 */
import type { Limit } from "./bound.ts";
import { type Bench, pullTasks, pushTasks, type Task } from "./cases.ts";
import { BUDGET, type Case, COUNT, type Coder } from "./coder.ts";
import type { Envelope } from "./envelope.ts";
import { fidelityOf } from "./metrics.ts";
import { type PlotPanel, type PlotPoint, plotSvg } from "./plot.ts";
import type { Row } from "./rows.ts";
import { nameOf } from "./table.ts";

/** One set, measured. */
export interface Measured {
  readonly bench: Bench;
  readonly rows: readonly Row[];
  /** The one whose curve is drawn. */
  readonly curve: Coder;
}

const CASES_DRAWN: readonly Case[] = ["push", "pull"];
/** Budgets of the curve, as factors of the budget of the case. */
const FACTORS = [0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4];
const TASKS = { push: 4, pull: 1 } as const;

export function drawingOf(sets: readonly Measured[], envelope: Envelope): string {
  const panels = sets.flatMap((measured) =>
    CASES_DRAWN.map((name) => panelOf(measured, name, envelope)),
  );
  return plotSvg(panels, [
    "Black: the best any code can reach in a frame of so many bytes (rate–distortion limit after its ids and counts).",
    "Red: omega, and its curve at other budgets with 64 states. Both axes are logarithmic, the upper half of cosine in 1 − cosine.",
  ]);
}

function panelOf({ bench, rows, curve }: Measured, name: Case, envelope: Envelope): PlotPanel {
  const tasks = name === "push" ? pushTasks(bench) : pullTasks(bench);
  const [first] = tasks;
  if (first === undefined) throw new Error("assertion failed: a set fills one frame of each case");
  const { limit, set } = bench;
  const overhead = envelope.wrap({ ...first, on: null }, set.dim, new Uint8Array(0)).length;
  const points = rows
    .filter((row) => row.set === set.name && row.case === name)
    .map((row) => pointOf(row));
  return {
    title: `${set.name}: ${name} of ${COUNT[name]} patterns of ${set.dim}`,
    budget: BUDGET[name],
    points,
    curve: FACTORS.map((factor) =>
      curvePoint(curve, tasks.slice(0, name === "push" ? TASKS.push : TASKS.pull), factor, bench),
    ),
    limit: limit === null ? null : cosineLimit(limit, COUNT[name], overhead),
  };
}

/** The best cosine of a frame of so many bytes. */
function cosineLimit(limit: Limit, count: number, overhead: number): (bytes: number) => number {
  return (bytes) => {
    const bits = (8 * Math.max(0, bytes - overhead)) / count;
    // A reconstruction that is a conditional mean keeps the energy that it does not err by.
    return Math.sqrt(Math.max(0, 1 - limit.nmseAt(bits) * limit.energy));
  };
}

function pointOf(row: Row): PlotPoint {
  const ours = row.method === "omega";
  return { name: nameOf(row), bytes: row.bytes, cosine: row.cosine, ours };
}

function curvePoint(coder: Coder, tasks: readonly Task[], factor: number, bench: Bench): PlotPoint {
  const codings = tasks.map((task) => {
    const coding = coder.encode({ ...task, budget: Math.round(task.budget * factor), on: null });
    const { cosine, count } = fidelityOf(task.vectors, coding.decoded, bench.mean);
    return { bytes: coding.frameBytes, cosine: cosine / count };
  });
  const mean = (pick: (of: { bytes: number; cosine: number }) => number) =>
    codings.reduce((sum, coding) => sum + pick(coding), 0) / codings.length;
  return {
    name: "",
    bytes: mean(({ bytes }) => bytes),
    cosine: mean(({ cosine }) => cosine),
    ours: true,
  };
}
