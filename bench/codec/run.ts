/**
 * One run: sets, the coders on each, and the rows they leave.
 * @module
 */
import { loadZstd } from "../../src/wire/index.ts";
import { fixedBaselines, productQuantiser } from "./baselines.ts";
import { limitOf } from "./bound.ts";
import { type Bench, casesOf } from "./cases.ts";
import { type Coder, fitting } from "./coder.ts";
import { fileSet } from "./data-file.ts";
import type { Measured } from "./drawing.ts";
import { type Envelope, envelopeOf } from "./envelope.ts";
import { learnFrom, variancesAlong } from "./knowledge.ts";
import { nmseOfMean } from "./many-devices.ts";
import { omegaCoders } from "./omega.ts";
import type { Options } from "./options.ts";
import type { Row } from "./rows.ts";
import { iidSet, type SetSizes, syntheticSet, type VectorSet } from "./sets.ts";
import type { TimingLimits } from "./timing.ts";
import { loadZstd19 } from "./zstd19.ts";

export const SEED = 20_261_125;

interface Effort {
  readonly sizes: SetSizes;
  readonly pushes: number;
  readonly pulls: number;
  readonly pq: { readonly rowsMax: number; readonly iterations: number };
  readonly devicesMax: number;
  readonly timing: TimingLimits;
  readonly costTiming: TimingLimits;
}

const FULL: Effort = {
  sizes: { train: 4096, test: 400, query: 150 },
  pushes: 20,
  pulls: 4,
  pq: { rowsMax: 4096, iterations: 6 },
  devicesMax: 1000,
  timing: { runsMin: 3, runsMax: 30, msMax: 150 },
  costTiming: { runsMin: 30, runsMax: 300, msMax: 1000 },
};
const QUICK: Effort = {
  sizes: { train: 2048, test: 200, query: 60 },
  pushes: 6,
  pulls: 2,
  pq: { rowsMax: 1024, iterations: 2 },
  devicesMax: 100,
  timing: { runsMin: 2, runsMax: 10, msMax: 50 },
  costTiming: { runsMin: 15, runsMax: 100, msMax: 200 },
};

/** What came out: the rows, and what the plot needs besides. */
export interface BenchResult {
  readonly rows: readonly Row[];
  readonly sets: readonly Measured[];
  readonly envelope: Envelope;
}

export async function runBench(
  options: Options,
  say: (line: string) => void,
): Promise<BenchResult> {
  const effort = options.quick ? QUICK : FULL;
  // A file is read first: a wrong one should not be found after minutes.
  const own = options.data === null ? [] : [fileSet(options.data, options.dim, SEED)];
  const compress = await loadZstd19();
  const zstd = await loadZstd();
  const envelope = envelopeOf(compress, (bytes) => zstd.decompress(bytes, 2 ** 24));
  const sets = [...options.sets, ...own].map((name): Measured => {
    const set = typeof name === "string" ? builtIn(name, effort.sizes) : name;
    const { train, dim } = set;
    say(`${set.name}: learning a transform from ${train.length / dim} vectors of ${dim}`);
    const knowledge = learnFrom(train, dim);
    const { mean, model } = knowledge;
    const limit =
      model === null ? null : limitOf(variancesAlong(model.basis, mean, set.test), set.white);
    const context = { dim, mean, envelope, compress };
    const { pushes, pulls, timing, costTiming } = effort;
    const bench: Bench = { set, mean, limit, pushes, pulls, timing, costTiming };
    const ours = omegaCoders({ dim, knowledge, zstd, compress });
    const coders = [
      ...fixedBaselines(context),
      productQuantiser(train, effort.pq, context),
      ...ours.all,
    ];
    const rows = coders.flatMap((coder) => measured(coder, bench, effort, say));
    return { bench, rows, curve: ours.best };
  });
  return { rows: sets.flatMap(({ rows }) => rows), sets, envelope };
}

function builtIn(name: Options["sets"][number], sizes: SetSizes): VectorSet {
  return name === "iid" ? iidSet(sizes, SEED) : syntheticSet(sizes, SEED);
}

function measured(coder: Coder, bench: Bench, effort: Effort, say: (line: string) => void): Row[] {
  const startedAtMs = performance.now();
  const rows = casesOf(coder, bench);
  const floor = fitting(() => nmseOfMean(coder, bench, effort.devicesMax));
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  const states = coder.states === null ? "" : ` ${coder.states} states`;
  const missing = rows.length === 0 ? ", nothing fits" : "";
  say(`${bench.set.name}: ${coder.method}${states}, ${coder.mode}: ${seconds} s${missing}`);
  return rows.map((row) => (row.case === "push" ? { ...row, nmseOfMean: floor } : row));
}
