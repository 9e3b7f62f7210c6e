/**
 * The cases: every method sends the same test vectors, with the same ids and counts, and is
 * measured by the same ruler.
 * @module
 */
import { seededRandom } from "../../src/core/index.ts";
import { gapDb, type Limit } from "./bound.ts";
import {
  BUDGET,
  type Case,
  COUNT,
  type Coder,
  type Coding,
  fitting,
  isPull,
  type Job,
} from "./coder.ts";
import { normaliseRows } from "./gaussian.ts";
import { pullItems, pushItems } from "./items.ts";
import { addFidelity, type Fidelity, fidelityOf, recallAt10 } from "./metrics.ts";
import type { Row } from "./rows.ts";
import type { VectorSet } from "./sets.ts";
import { fastestUs, type TimingLimits } from "./timing.ts";

/** What one set is measured with. */
export interface Bench {
  readonly set: VectorSet;
  /** Of the train split. */
  readonly mean: Float64Array;
  /** Null where no transform is known to measure it in. */
  readonly limit: Limit | null;
  /** How many frames of each case. */
  readonly pushes: number;
  readonly pulls: number;
  readonly timing: TimingLimits;
  /** Of the ratios, which need more runs. */
  readonly costTiming: TimingLimits;
}

/** Cosine between a pattern and what it drifts to. */
export const DRIFT_COSINE = 0.98;
/**
 * Pushes of the same patterns before they drift. One alone leaves an error as large as the drift, and
 * then the limit itself lies below .998: closed loops are about registers that have come to know.
 */
export const SETTLING_PUSHES = 4;
const SENDER = "tv-0001";

/** A job without what it is coded on. */
export type Task = Omit<Job, "on">;

/** All rows of one coder on one set. */
export function casesOf<C extends Coding>(coder: Coder<C>, bench: Bench): Row[] {
  return [
    ...(fitting(() => pushRows(coder, bench)) ?? []),
    ...(fitting(() => pullRows(coder, bench)) ?? []),
  ];
}

function pushRows<C extends Coding>(coder: Coder<C>, bench: Bench): Row[] {
  if (!coder.covers("push")) return [];
  const tasks = pushTasks(bench);
  const once = run(coder, "push", tasks, []);
  const push = rowOf(coder, "push", once, bench);
  if (!coder.covers("drift")) return [push];
  const moved = tasks.map((task, at) => drifted(task, at, bench));
  const early = fidelityIn(run(coder, "drift", moved, once), bench);
  let settled = once;
  for (let more = 1; more < SETTLING_PUSHES; more += 1)
    settled = run(coder, "drift", tasks, settled);
  const late = rowOf(coder, "drift", run(coder, "drift", moved, settled), bench);
  const { cosine, nmse, count } = early;
  return [push, { ...late, afterOnePush: { cosine: cosine / count, nmse: nmse / count } }];
}

function pullRows<C extends Coding>(coder: Coder<C>, bench: Bench): Row[] {
  if (!coder.covers("pull")) return [];
  const tasks = pullTasks(bench);
  const first = run(coder, "pull", tasks, []);
  const pull = rowOf(coder, "pull", first, bench);
  if (!coder.covers("pull2")) return [pull];
  return [pull, rowOf(coder, "pull2", run(coder, "pull2", tasks, first), bench)];
}

export function pushTasks(bench: Bench): Task[] {
  return tasksOf(bench, "push", bench.pushes);
}

export function pullTasks(bench: Bench): Task[] {
  return tasksOf(bench, "pull", bench.pulls);
}

/** The test split in runs of ten or a hundred, with items that are the same for every method. */
function tasksOf(bench: Bench, name: Case, tasksMax: number): Task[] {
  const { dim, test } = bench.set;
  const count = COUNT[name];
  const tasks = Math.min(tasksMax, Math.floor(test.length / (dim * count)));
  const random = seededRandom(COUNT[name]);
  return Array.from({ length: tasks }, (_, at) => ({
    case: name,
    vectors: test.subarray(at * count * dim, (at + 1) * count * dim),
    items: isPull(name) ? pullItems(count, random) : pushItems(count, random),
    budget: BUDGET[name],
    sender: SENDER,
  }));
}

interface Outcome<C extends Coding> {
  readonly job: Job<C>;
  readonly coding: C;
  /** Bytes of coded vectors, with those of the frame below it. */
  readonly codedBytes: number;
}

function run<C extends Coding>(
  coder: Coder<C>,
  name: Case,
  tasks: readonly Task[],
  before: readonly Outcome<C>[],
): Outcome<C>[] {
  return tasks.map((task, at) => {
    const below = before[at];
    const job: Job<C> = { ...task, case: name, budget: BUDGET[name], on: below?.coding ?? null };
    const coding = coder.encode(job);
    return { job, coding, codedBytes: coding.codedBytes + (below?.codedBytes ?? 0) };
  });
}

function rowOf<C extends Coding>(
  coder: Coder<C>,
  name: Case,
  outcomes: readonly Outcome<C>[],
  bench: Bench,
): Row {
  const { set } = bench;
  const fidelity = fidelityIn(outcomes, bench);
  const first = outcomes[0] as Outcome<C>;
  // First, because they run the codec warm.
  const costs =
    name === "push"
      ? coder.costs?.(
          outcomes.map(({ job }) => job),
          bench.costTiming,
        )
      : {};
  const [encodeUs = 0] = fastestUs([() => coder.encode(first.job)], bench.timing);
  const [decodeUs = 0] = fastestUs([() => coder.decode(first.job, first.coding)], bench.timing);
  return {
    set: set.name,
    method: coder.method,
    states: coder.states,
    mode: coder.mode,
    case: name,
    budget: BUDGET[name],
    bytes: Math.max(...outcomes.map(({ coding }) => coding.frameBytes)),
    cosine: fidelity.cosine / fidelity.count,
    nmse: fidelity.nmse / fidelity.count,
    recall10: isPull(name) ? recallOf(outcomes, set) : null,
    gapDb: gapOf(name, outcomes, fidelity, bench),
    nmseOfMean: null,
    encodeUs,
    decodeUs,
    ...costs,
  };
}

function fidelityIn(outcomes: readonly Outcome<Coding>[], { mean }: Bench): Fidelity {
  return outcomes
    .map(({ job, coding }) => fidelityOf(job.vectors, coding.decoded, mean))
    .reduce(addFidelity);
}

function recallOf(outcomes: readonly Outcome<Coding>[], { dim, query }: VectorSet): number {
  const recalls = outcomes.map(({ job, coding }) =>
    recallAt10(job.vectors, coding.decoded, query, dim),
  );
  return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
}

/**
 * In dB above the limit at the rate that was really spent. A second pull counts both frames: a
 * Gaussian source loses nothing when it is refined in steps (Equitz and Cover 1991). A drifted
 * pattern has no limit that could be computed: it depends on what the register happens to hold.
 */
function gapOf(
  name: Case,
  outcomes: readonly Outcome<Coding>[],
  fidelity: Fidelity,
  bench: Bench,
): number | null {
  if (name === "drift" || bench.limit === null) return null;
  const bytes = outcomes.reduce((sum, outcome) => sum + outcome.codedBytes, 0);
  const limit = bench.limit.nmseAt((8 * bytes) / fidelity.count);
  return gapDb(fidelity.error / fidelity.spread, limit);
}

/**
 * x' = normalise(x + ε·z) with ε so that cos(x, x') = 0.98 for z orthogonal to x. z is the direction
 * from the mean to some query vector: taste moves towards what there is to like, so drift has the
 * spectrum of the set.
 */
function drifted(task: Task, at: number, bench: Bench): Task {
  const { dim, query } = bench.set;
  const epsilon = Math.sqrt(1 / DRIFT_COSINE ** 2 - 1);
  const vectors = task.vectors.slice();
  const queries = query.length / dim;
  for (let row = 0; row < vectors.length / dim; row += 1) {
    const from = ((at * COUNT.drift + row) % queries) * dim;
    const z = Float64Array.from(bench.mean, (m, j) => (query[from + j] as number) - m);
    const length = Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));
    for (let j = 0; j < dim; j += 1) {
      const index = row * dim + j;
      vectors[index] = (vectors[index] as number) + (epsilon * (z[j] as number)) / length;
    }
  }
  normaliseRows(vectors, dim);
  return { ...task, vectors };
}
