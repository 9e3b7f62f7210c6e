/**
 * From results to the plot: panels for the push and the pull of every set, with the curve that ours
 * makes when it is given other budgets.
 * @module
 */
import type { Limit } from "./bound.ts";
import { type Bench, pullTasks, pushTasks, type Task } from "./cases.ts";
import { BUDGET, type Case, COUNT, type Coder, fitting } from "./coder.ts";
import type { Envelope } from "./envelope.ts";
import { fidelityOf } from "./metrics.ts";
import { type PlotPanel, type PlotPoint, plotSvg } from "./plot.ts";
import type { Row } from "./rows.ts";

/** One set, measured. */
export interface Measured {
  readonly bench: Bench;
  readonly rows: readonly Row[];
  /** The one whose curve is drawn. */
  readonly curve: Coder;
}

/** Budgets of the push's curve, as factors of the usual one, and frames per point. */
const FACTORS = [0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4];
const FRAMES_PER_POINT = 4;

export function drawingOf(sets: readonly Measured[], envelope: Envelope): string {
  const panels = sets.flatMap((measured) => [
    pushPanel(measured, envelope),
    pullPanel(measured, envelope),
  ]);
  return plotSvg(panels, [
    "Black: the best that any code can reach in a frame of so many bytes (the rate–distortion limit, after ids and counts).",
    "Red: omega, with 64 states and just below with 8; a push at other budgets too, a pull after its first frame and after both. The axes are logarithmic, the upright one in 1 − cosine.",
  ]);
}

function pushPanel(measured: Measured, envelope: Envelope): PlotPanel {
  const tasks = pushTasks(measured.bench).slice(0, FRAMES_PER_POINT);
  const curve = FACTORS.flatMap(
    (factor) => fitting(() => curvePoint(measured, tasks, factor)) ?? [],
  );
  return { ...panelOf(measured, "push", tasks, envelope), curve };
}

function pullPanel(measured: Measured, envelope: Envelope): PlotPanel {
  const panel = panelOf(measured, "pull", pullTasks(measured.bench), envelope);
  const ours = (name: Case) =>
    measured.rows.find((row) => row.method === "omega" && row.case === name);
  const [first, second] = [ours("pull"), ours("pull2")];
  if (first === undefined || second === undefined) return panel;
  const bytes = first.bytes + second.bytes;
  const both = { name: "omega, both pulls", bytes, cosine: second.cosine, ours: true };
  return { ...panel, points: [...panel.points, both], curve: [pointOf(first), both] };
}

function panelOf(
  { bench, rows }: Measured,
  name: Case,
  tasks: readonly Task[],
  envelope: Envelope,
): PlotPanel {
  const { limit, set } = bench;
  const [first] = tasks;
  if (first === undefined) throw new Error("assertion failed: a set fills one frame of each case");
  const overhead = envelope.wrap({ ...first, on: null }, set.dim, new Uint8Array(0)).length;
  return {
    title: `${set.name}: ${name} of ${COUNT[name]} patterns of ${set.dim}`,
    budget: BUDGET[name],
    points: rows.filter((row) => row.case === name).map(pointOf),
    curve: [],
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

function pointOf({ method, mode, bytes, cosine }: Row): PlotPoint {
  const ours = method === "omega";
  const name = ours && mode === "unbiased" ? "omega unbiased" : method;
  return { name, bytes, cosine, ours };
}

function curvePoint({ bench, curve }: Measured, tasks: readonly Task[], factor: number): PlotPoint {
  let bytes = 0;
  let cosines = 0;
  for (const task of tasks) {
    const budget = Math.round(task.budget * factor);
    const coding = curve.encode({ ...task, budget, on: null });
    const { cosine, count } = fidelityOf(task.vectors, coding.decoded, bench.mean);
    bytes += coding.frameBytes / tasks.length;
    cosines += cosine / count / tasks.length;
  }
  return { name: "", bytes, cosine: cosines, ours: true };
}
