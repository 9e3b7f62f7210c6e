/**
 * Learns the tables of codec 1: `npm run build && node scripts/train-entropy-tables.mjs`.
 *
 * For each trellis and class, Gaussian numbers of the class's width are quantised by the product's
 * own search; the magnitudes are counted, the means of the cells measured, and the search repeats
 * with what it learnt, until counts and search agree: entropy-constrained quantisation (Chou,
 * Lookabaugh and Gray, 1989) in the trellis. A class is a quarter of an octave wide, so the width
 * varies by that much. Writes src/wire/codec1/entropy-tables.ts; the same run gives the same file.
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./prepare.mjs";

const BUILT = process.env.BUILT ?? join(ROOT, "dist");
const codec1 = (file) => import(join(BUILT, "src/wire/codec1", file));
const entropy = await codec1("entropy.js");
const { TRELLISES, levelOf } = await codec1("trellis.js");
const { TrellisSearch } = await codec1("viterbi.js");
const { seededRandom } = await import(join(BUILT, "src/core/random.js"));
const { SYMBOLS, ESCAPE, ROWS, ROW_SHIFTS, CLASSES, SHIFT_UNIT } = entropy;

const SEED = 20261125;
const ROUNDS = 8;
const DIM = 384;
const VECTORS = Number(process.env.VECTORS ?? 400);
const LAMBDAS = { 8: Number(process.env.K8 ?? 0.5), 64: Number(process.env.K64 ?? 0.5) };
const SHARES = 2 ** 15;
/** Pseudo-counts: what was never seen can still be written. */
const PRIOR = 0.3;

/** Standard normal numbers (Box and Muller). */
function gaussian(random) {
  return () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** The density's integral, near enough to start from (Abramowitz and Stegun 26.2.17). */
function tail(x) {
  const t = 1 / (1 + 0.2316419 * x);
  const series =
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * series;
}

/** Whole, even shares that add up, every one at least 2, from weights. */
function sharesOf(weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map(
    (weight) => 2 * Math.max(1, Math.round((weight / total) * (SHARES / 2))),
  );
  const excess = shares.reduce((sum, share) => sum + share, 0) - SHARES;
  const largest = shares.indexOf(Math.max(...shares));
  shares[largest] -= excess;
  return shares;
}

function firstGuess(width, q) {
  const weights = [];
  for (let magnitude = 0; magnitude < SYMBOLS; magnitude += 1) {
    const level = levelOf(q, magnitude);
    const low = magnitude === 0 ? 0 : (level + levelOf(q, magnitude - 1)) / 2;
    const high = magnitude === ESCAPE ? Infinity : (level + levelOf(q, magnitude + 1)) / 2;
    weights.push(tail(low / width) - (high === Infinity ? 0 : tail(high / width)));
  }
  return sharesOf(weights);
}

function trainClass(states, index, sample) {
  const octave = (entropy.CLASS_LOWEST + index * entropy.CLASS_WIDTH) / 32;
  const rows = new Uint8Array(DIM);
  const indices = new Int16Array(DIM);
  const values = new Float64Array(DIM);
  let shares = [firstGuess(2 ** octave, 0), firstGuess(2 ** octave, 1)];
  let shifts = [
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ];
  for (let round = 0; round < ROUNDS; round += 1) {
    const search = new TrellisSearch(states, modelOf(shares, shifts));
    search.price(LAMBDAS[states]);
    const counts = [new Float64Array(SYMBOLS), new Float64Array(SYMBOLS)];
    const excess = [new Float64Array(4), new Float64Array(4)];
    const seen = [new Float64Array(4), new Float64Array(4)];
    for (let vector = 0; vector < VECTORS; vector += 1) {
      for (let at = 0; at < DIM; at += 1) {
        const { normal, jitter } = sample;
        values[at] = normal[vector * DIM + at] * 2 ** (octave + jitter[vector * DIM + at]);
      }
      search.run(values, rows, indices);
      let state = 0;
      for (let at = 0; at < DIM; at += 1) {
        const q = state & 1;
        const magnitude = Math.abs(indices[at]);
        counts[q][Math.min(magnitude, ESCAPE)] += 1;
        const place = Math.min(magnitude, 3);
        excess[q][place] += levelOf(q, magnitude) - values[at] * Math.sign(indices[at]);
        seen[q][place] += 1;
        state = TRELLISES[states].next[2 * state + (magnitude & 1)];
      }
    }
    shares = counts.map((row) =>
      sharesOf(Array.from(row, (count, symbol) => count + PRIOR * 2 ** -symbol)),
    );
    shifts = excess.map((row, q) =>
      Array.from(row, (sum, place) =>
        place === 0 ? 0 : Math.round((sum / (seen[q][place] + 5)) * SHIFT_UNIT),
      ),
    );
  }
  return { shares, shifts };
}

/** A model in which every row is one of these two. */
function modelOf(shares, shifts) {
  const all = [];
  const moved = new Int16Array(ROWS * ROW_SHIFTS);
  for (let row = 0; row < ROWS; row += 1) {
    all.push(...shares[row & 1]);
    moved.set(shifts[row & 1], row * ROW_SHIFTS);
  }
  return entropy.entropyModel(all, moved);
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function pack(numbers) {
  let text = "";
  for (const number of numbers) {
    let rest = number;
    while (rest > 31) {
      text += DIGITS[32 + (rest & 31)];
      rest >>= 5;
    }
    text += DIGITS[rest];
  }
  return text;
}

function train(states) {
  const random = seededRandom(SEED);
  const next = gaussian(random);
  const normal = Float64Array.from({ length: VECTORS * DIM }, next);
  const width = entropy.CLASS_WIDTH / 32;
  const jitter = Float64Array.from(normal, () => (random.next() - 0.5) * width);
  const numbers = [];
  for (let index = 0; index < CLASSES; index += 1) {
    const { shares, shifts } = trainClass(states, index, { normal, jitter });
    for (let q = 0; q < 2; q += 1) {
      for (const share of shares[q].slice(1)) numbers.push(share / 2);
      for (const shift of shifts[q].slice(1)) numbers.push(shift < 0 ? -2 * shift - 1 : 2 * shift);
    }
  }
  return pack(numbers);
}

const lines = (text) => (text.match(/.{1,92}/g) ?? []).map((line) => `    "${line}"`).join(" +\n");
writeFileSync(
  process.env.OUT ?? join(ROOT, "src/wire/codec1/entropy-tables.ts"),
  `/**
 * The learnt tables of codec 1, written by scripts/train-entropy-tables.mjs; entropy.ts unpacks them.
 * Part of the codec: a change here is another codec.
 * @module
 */

export const PACKED_TABLES: Readonly<Record<8 | 64, string>> = {
  8:
${lines(train(8))},
  64:
${lines(train(64))},
};
`,
);
