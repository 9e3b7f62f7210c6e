/**
 * Rate control: the finest step whose indices fit a number of bytes.
 *
 * Bits fall smoothly as the step grows, so a guess from the block's own spread and one correction
 * mostly do; a bracket keeps the secant honest where they do not. Between two step indices the price
 * of a bit moves instead, by as much as makes the bits continuous: what a whole index would waste,
 * some 2 % of the bytes, is spent. Only an encoder runs this.
 * @module
 */
import { assert } from "../../core/index.ts";
import { type BlockCost, type BlockPlan, encodeIndices, LAMBDA, searchBlock } from "./block.ts";
import { CLASS_LOWEST, CLASS_WIDTH, CLASSES, entropyModelOf, RATE_UNIT } from "./entropy.ts";
import { STATE_BYTES } from "./rans.ts";
import { STEP_INDEX_MAX, STEPS_PER_OCTAVE } from "./step.ts";

export type SteplessPlan = Omit<BlockPlan, "step">;

export interface BlockLimits {
  readonly bytesMax: number;
  /** Squared grid steps: once a block is this near, no more bytes are spent on it. */
  readonly distortionEnough: number;
}

export interface FittedBlock {
  readonly plan: BlockPlan;
  readonly indices: Int16Array;
  readonly bytes: Uint8Array;
}

interface Candidate {
  /** A step index with a fraction; what the step itself does not cover is in the price of a bit. */
  readonly place: number;
  readonly step: number;
  readonly cost: BlockCost;
  readonly indices: Int16Array;
}

/** Searches per goal, at most: enough to come from any guess to any step. */
const SEARCHES_MAX = 24;
/** So near to the limit another search is not worth its time: a share of the bits, or a few. */
const NEAR_SHARE = 0.006;
const NEAR_BITS = 12;
/** And a distortion this near to enough is enough. */
const NEAR_DISTORTION = 0.85;
/** A bracket this narrow, in step indices, holds nothing better. */
const BRACKET_MIN = 1 / 8;
/** From this search on, each finds twice as much still near: another costs more than its bytes give. */
const PATIENCE = 1;
/** A new place is this far, in step indices, from one that is known to be wrong. */
const MARGIN_MAX = 1 / 16;
/** Bits per step index: where nothing is left to save, a search strides. */
const SLOPE_MIN = 1 / 8;
/**
 * The price covers this many step indices. More than a half: with the step the classes change, and
 * the bits may jump over what is wanted.
 */
const STEP_REACH = 1.25;
/** log2 of the factor that the price of a bit gains over one step index. */
const PRICE_PER_STEP = 0.3;
/** Indices are int16: no value may lie farther out than this, in steps. */
const VALUE_MAX = 65_000;
/** Coefficients on either side that help to tell how wide one usually is. */
const NEIGHBOURS = 4;
/** Results are rounded to whole grid steps; what is nearer than this needs no finer step. */
const DISTORTION_OF_ROUNDING = 0.02;

/** Null when not even the largest step fits. */
export function fitBlock(
  coefficients: Float64Array,
  plan: SteplessPlan,
  limits: BlockLimits,
): FittedBlock | null {
  const fitting = new Fitting(coefficients, plan);
  const rounding = coefficients.length * DISTORTION_OF_ROUNDING;
  const enough = Math.max(limits.distortionEnough, rounding);
  // The coder's state holds up to seven bits besides the whole bytes.
  let bitsMax = 8 * (limits.bytesMax - STATE_BYTES) + 7;
  for (;;) {
    const finest = fitting.fit(bitsMax);
    if (finest === null) return null;
    const { step, indices, cost } = fitting.coarsen(finest, enough);
    const fitted = { ...plan, step };
    const bytes = encodeIndices(indices, fitted);
    if (bytes.length <= limits.bytesMax) return { plan: fitted, indices, bytes };
    // The coder rounds, and may need a little more than the tables say.
    bitsMax = cost.bits - 2;
  }
}

class Fitting {
  readonly #coefficients: Float64Array;
  readonly #plan: SteplessPlan;
  readonly #profile: Int16Array;
  readonly #rates: Uint16Array;
  readonly #finest: number;

  constructor(coefficients: Float64Array, plan: SteplessPlan) {
    this.#coefficients = coefficients;
    this.#plan = plan;
    let largest = 0;
    for (const value of coefficients) largest = Math.max(largest, Math.abs(value));
    assert(Number.isFinite(largest), "coefficients are finite");
    const octaves = Math.log2(Math.max(1, largest / VALUE_MAX));
    this.#finest = Math.ceil(octaves * STEPS_PER_OCTAVE);
    this.#profile = profileOf(coefficients, plan);
    this.#rates = entropyModelOf(plan.states).rates;
  }

  /** The finest candidate of at most `bitsMax` bits, nearly; null when there is none. */
  fit(bitsMax: number): Candidate | null {
    let best: Candidate | null = null;
    let tooFine = this.#finest - 1;
    let coarser = STEP_INDEX_MAX + 1;
    let place = this.#guess(bitsMax * (1 - NEAR_SHARE / 2));
    let step = Math.round(place);
    let last: Candidate | null = null;
    for (let search = 0; search < SEARCHES_MAX; search += 1) {
      if (Math.abs(place - step) > STEP_REACH) step = Math.round(place);
      const candidate = this.#search(place, step);
      const spare = bitsMax - candidate.cost.bits;
      if (spare >= 0) {
        best = candidate;
        coarser = place;
      } else {
        tooFine = place;
      }
      const near = Math.max(NEAR_BITS, NEAR_SHARE * bitsMax);
      const stillNear = near * 2 ** Math.max(0, search - PATIENCE + 1);
      if (best !== null && bitsMax - best.cost.bits <= stillNear) break;
      if (coarser - tooFine < BRACKET_MIN) break;
      const margin = Math.min(MARGIN_MAX, (coarser - tooFine) / 8);
      const low = Math.max(this.#finest, tooFine + margin);
      const high = Math.min(STEP_INDEX_MAX, coarser - margin);
      if (low > high) break;
      place = Math.min(
        high,
        Math.max(low, place + this.#stride(candidate, last, spare - near / 2)),
      );
      last = candidate;
    }
    return best;
  }

  /** A coarser candidate than `finest`, as long as its distortion stays below `enough`. */
  coarsen(finest: Candidate, enough: number): Candidate {
    let best = finest;
    let tooCoarse = STEP_INDEX_MAX + 1;
    for (let search = 0; search < SEARCHES_MAX; search += 1) {
      const { distortion } = best.cost;
      if (distortion >= NEAR_DISTORTION * enough || tooCoarse - best.place < 1) break;
      // Distortion grows as the square of the step, or more slowly.
      const stride = (STEPS_PER_OCTAVE / 2) * Math.log2(enough / distortion);
      const wanted = Math.floor(best.place + Math.max(1, stride));
      const place = wanted < tooCoarse ? wanted : Math.floor((best.place + tooCoarse) / 2);
      if (place <= best.place) break;
      const candidate = this.#search(place, place);
      if (candidate.cost.distortion <= enough) best = candidate;
      else tooCoarse = place;
    }
    return best;
  }

  #search(place: number, step: number): Candidate {
    const lambda = LAMBDA[this.#plan.states] * 2 ** (PRICE_PER_STEP * (place - step));
    const indices = new Int16Array(this.#coefficients.length);
    const cost = searchBlock(this.#coefficients, { ...this.#plan, step }, lambda, indices);
    return { place, step, cost, indices };
  }

  /** How far to go for `spare` more bits: along the last chord, or the slope that the tables expect. */
  #stride({ place, step, cost }: Candidate, last: Candidate | null, spare: number): number {
    const slope = (this.#bitsAt(place - 4) - this.#bitsAt(place + 4)) / 8;
    const scaled = (slope * (cost.bits + 1)) / (this.#bitsAt(place) + 1);
    if (last === null || last.step !== step) return -spare / Math.max(scaled, SLOPE_MIN);
    const chord = (last.cost.bits - cost.bits) / (place - last.place);
    return -spare / Math.min(4 * scaled, Math.max(chord, scaled / 4, SLOPE_MIN));
  }

  /** Where the tables expect `bitsMax` bits. */
  #guess(bitsMax: number): number {
    let fine = this.#finest;
    let coarse = STEP_INDEX_MAX;
    while (coarse - fine > 1) {
      const middle = (fine + coarse) >> 1;
      if (this.#bitsAt(middle) > bitsMax) fine = middle;
      else coarse = middle;
    }
    const [least, most] = [this.#bitsAt(coarse), this.#bitsAt(fine)];
    const share = most > bitsMax ? (most - bitsMax) / (most - least) : 0;
    return most > least ? fine + Math.min(1, share) : coarse;
  }

  /** The bits that the tables expect of such coefficients, were all of them Gaussian. */
  #bitsAt(place: number): number {
    const step = Math.round(place);
    let bits = 0;
    for (let at = 0; at < this.#profile.length; at += 1) {
      bits += rateOf((this.#profile[at] as number) - step, this.#rates);
    }
    return bits * this.#plan.kinds.length;
  }
}

/** Bits of a Gaussian coefficient this many 1/32 octaves wider than the step. */
function rateOf(width: number, rates: Uint16Array): number {
  // Widths round up into a class: its middle is half a unit below its number.
  const place = (width - CLASS_LOWEST + 0.5) / CLASS_WIDTH;
  if (place <= 0) return 0;
  const below = Math.min(CLASSES - 2, Math.floor(place));
  const low = rates[below] as number;
  const high = rates[below + 1] as number;
  return (low + (place - below) * (high - low)) / RATE_UNIT;
}

/** How wide each coefficient is, over all vectors and a few neighbours, in 1/32 octaves. */
function profileOf(coefficients: Float64Array, { dim }: SteplessPlan): Int16Array {
  const energies = new Float64Array(dim);
  for (let offset = 0; offset < coefficients.length; offset += dim) {
    for (let at = 0; at < dim; at += 1) {
      energies[at] = (energies[at] as number) + (coefficients[offset + at] as number) ** 2;
    }
  }
  const profile = new Int16Array(dim);
  const vectors = coefficients.length / dim;
  for (let at = 0; at < dim; at += 1) {
    const from = Math.max(0, at - NEIGHBOURS);
    const near = energies.subarray(from, at + NEIGHBOURS + 1);
    let energy = 0;
    for (const part of near) energy += part;
    // The logarithm of a mean of k squares is 1/k too low on average.
    const samples = near.length * vectors;
    const octaves = Math.log2(1 + energy / samples) + Math.LOG2E / samples;
    profile[at] = Math.round((STEPS_PER_OCTAVE / 2) * octaves);
  }
  return profile;
}
