/**
 * Learns the tables of codec 1: `npm run build && node scripts/train-entropy-tables.mjs`.
 *
 * Rows of Gaussian numbers are quantised by the product's own search; the magnitudes are counted and
 * the means of the cells measured by class and quantiser, and the search repeats with what it learnt
 * until both agree: entropy-constrained quantisation (Chou, Lookabaugh and Gray, 1989) in a trellis.
 * Half of the rows keep one width, as behind a rotation; half fall from wide to narrow, as behind a
 * Karhunen–Loève transform: a class must know both neighbourhoods.
 * Writes src/wire/codec1/entropy-tables.ts; the same run gives the same file.
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./prepare.mjs";

const codec1 = (file) => import(join(ROOT, "dist/src/wire/codec1", file));
const entropy = await codec1("entropy.js");
const { TRELLISES, levelOf } = await codec1("trellis.js");
const { TrellisSearch } = await codec1("viterbi.js");
const { seededRandom } = await import(join(ROOT, "dist/src/core/random.js"));
const { SYMBOLS, ESCAPE, ROWS, ROW_SHIFTS, CLASSES, SHIFT_UNIT, RATE_UNIT } = entropy;

const SEED = 20261125;
const ROUNDS = 60;
const DIM = 384;
const VECTORS = 6000;
/** The price of a bit, as in block.ts. */
const LAMBDAS = { 8: 0.5, 64: 0.5 };
const SHARES = 2 ** 15;
/** As in contexts.ts. */
const LEVEL_MAX = 30;
/** What a row was thought to be before counts for this many numbers. */
const PRIOR = 3;
/** How far below the lowest class the trained rows reach, in octaves: most of a real tail is there. */
const BELOW = 1.5;
/** What a class sees of its neighbours: without it each settles on habits of its own. */
const SMOOTHING = 0.4;
/** The first class that does: below, the habit changes from class to class for good. */
const SMOOTH_FROM = 8;
/** A search that pays for bits prefers the lower level; cells begin this much later, in steps. */
const RELUCTANCE = 0.3;
/** Classes this wide, in steps, start with a quantiser 1 that hardly uses its 0. */
const WITHOUT_ZERO_FROM = 0.81;

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

/** The shares of a row before anything was seen, for numbers of this width in steps. */
function firstGuess(width, q) {
  const weights = [];
  for (let magnitude = 0; magnitude < SYMBOLS; magnitude += 1) {
    const from = (upper) => (levelOf(q, upper) + levelOf(q, upper - 1)) / 2 + RELUCTANCE;
    const low = magnitude === 0 ? 0 : from(magnitude);
    const high = magnitude === ESCAPE ? Infinity : from(magnitude + 1);
    weights.push(tail(low / width) - (high === Infinity ? 0 : tail(high / width)));
  }
  // Both ways to use quantiser 1, with its 0 and without, reinforce themselves in training. Without
  // is better wherever an index takes more than half a bit.
  if (q === 1 && width > WITHOUT_ZERO_FROM) weights[0] *= 0.01;
  return sharesOf(weights);
}

/** Rows to learn from: numbers in steps, and the row of each under quantiser 0. */
function drawVectors(random) {
  const normal = gaussian(random);
  const highest = (entropy.CLASS_LOWEST + (CLASSES - 0.5) * entropy.CLASS_WIDTH) / 32;
  const lowest = entropy.CLASS_LOWEST / 32 - BELOW;
  return Array.from({ length: VECTORS }, (_, vector) => {
    const ends = [0, 1].map(() => lowest + (highest - lowest) * random.next());
    const high = Math.max(...ends);
    const low = vector % 2 === 0 ? high : Math.min(...ends);
    const values = new Float64Array(DIM);
    const rows = new Uint8Array(DIM);
    for (let at = 0; at < DIM; at += 1) {
      const octave = high + ((low - high) * at) / DIM;
      values[at] = normal() * 2 ** octave;
      rows[at] = entropy.rowOf(Math.round(32 * octave), 0);
    }
    return { values, rows };
  });
}

/** One round: what the search makes of the vectors, by row. */
function survey(states, model, vectors) {
  const search = new TrellisSearch(states, model);
  search.price(LAMBDAS[states]);
  const counts = new Float64Array(ROWS * SYMBOLS);
  const excess = new Float64Array(ROWS * ROW_SHIFTS);
  const seen = new Float64Array(ROWS * ROW_SHIFTS);
  const levels = new Float64Array(CLASSES);
  const taken = new Float64Array(CLASSES);
  const visits = new Float64Array(CLASSES);
  const indices = new Int16Array(DIM);
  for (const { values, rows } of vectors) {
    search.run(values, rows, indices);
    let state = 0;
    for (let at = 0; at < DIM; at += 1) {
      const q = state & 1;
      const magnitude = Math.abs(indices[at]);
      const row = rows[at] + q;
      counts[row * SYMBOLS + Math.min(magnitude, ESCAPE)] += 1;
      const place = row * ROW_SHIFTS + Math.min(magnitude, ROW_SHIFTS - 1);
      const off = levelOf(q, magnitude) - values[at] * Math.sign(indices[at]);
      if (magnitude > 0) excess[place] += off;
      seen[place] += 1;
      levels[row >> 1] += Math.min(LEVEL_MAX, levelOf(q, magnitude));
      taken[row >> 1] += model.bits[row * SYMBOLS + Math.min(magnitude, ESCAPE)];
      if (magnitude >= ESCAPE) taken[row >> 1] += entropy.escapeBits(magnitude);
      visits[row >> 1] += 1;
      state = TRELLISES[states].next[2 * state + (magnitude & 1)];
    }
  }
  const perVisit = (sums) => sums.map((sum, index) => sum / visits[index]);
  return { counts, excess, seen, means: perVisit(levels), rates: perVisit(taken) };
}

/** Adds to each row of `width` numbers a part of the rows of both neighbouring classes. */
function smooth(numbers, width) {
  return numbers.map((number, at) => {
    const index = Math.floor(at / (2 * width));
    const below = index > SMOOTH_FROM ? numbers[at - 2 * width] : number;
    const above = index >= SMOOTH_FROM && index < CLASSES - 1 ? numbers[at + 2 * width] : number;
    return number + SMOOTHING * (below + above);
  });
}

/** What to believe after a round. */
function learn(guesses, found) {
  const counts = smooth(found.counts, SYMBOLS);
  const excess = smooth(found.excess, ROW_SHIFTS);
  const seen = smooth(found.seen, ROW_SHIFTS);
  const shares = guesses.map((guess, row) =>
    sharesOf(
      guess.map((share, symbol) => counts[row * SYMBOLS + symbol] + (PRIOR * share) / SHARES),
    ),
  );
  const shifts = Int16Array.from(excess, (sum, place) =>
    Math.round((sum / (seen[place] + PRIOR)) * SHIFT_UNIT),
  );
  return { shares, shifts, means: rising(found.means), rates: rising(found.rates) };
}

/** In units of the tables, and none below the one before. */
function rising(numbers) {
  let highest = 0;
  return Uint16Array.from(numbers, (number) => {
    highest = Math.max(highest, Math.round(number * RATE_UNIT));
    return highest;
  });
}

/** Numbers ≥ 0 as text, the way entropy.ts reads it. */
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
  const vectors = drawVectors(seededRandom(SEED));
  const guesses = Array.from({ length: ROWS }, (_, row) => {
    const octave = (entropy.CLASS_LOWEST + (row >> 1) * entropy.CLASS_WIDTH) / 32;
    return firstGuess(2 ** octave, row & 1);
  });
  const nothing = new Uint16Array(CLASSES);
  const shifts = new Int16Array(ROWS * ROW_SHIFTS);
  let learnt = { shares: guesses, shifts, means: nothing, rates: nothing };
  for (let round = 0; round < ROUNDS; round += 1) {
    const { means, rates } = learnt;
    const model = entropy.entropyModel(learnt.shares.flat(), learnt.shifts, means, rates);
    learnt = learn(guesses, survey(states, model, vectors));
  }
  return pack(numbersOf(learnt));
}

/** The tables in the order in which entropy.ts reads them. */
function numbersOf({ shares, shifts, means, rates }) {
  const differences = (rising) => Array.from(rising, (at, index) => at - (rising[index - 1] ?? 0));
  const numbers = [...differences(means), ...differences(rates)];
  for (let row = 0; row < ROWS; row += 1) {
    for (const share of shares[row].slice(1)) numbers.push(share / 2);
    for (const shift of shifts.subarray(row * ROW_SHIFTS + 1, (row + 1) * ROW_SHIFTS)) {
      numbers.push(shift < 0 ? -2 * shift - 1 : 2 * shift);
    }
  }
  return numbers;
}

const lines = (text) => (text.match(/.{1,92}/g) ?? []).map((line) => `    "${line}"`).join(" +\n");
writeFileSync(
  join(ROOT, "src/wire/codec1/entropy-tables.ts"),
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
