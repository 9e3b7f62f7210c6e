/**
 * Laying a release out in layers: at the steps of the release before, or at new ones.
 *
 * New steps change every row, so every device has to fetch everything again:
 * steps are kept while the layers fit their frames, and while they leave no
 * more than 15 % of them empty.
 * @module
 */
import type { Release } from "../release.ts";
import type { CodecModel } from "./model.ts";
import { RELEASE1_FRAME_BYTES_MAX, type Release1 } from "./release1.ts";
import { partBytesMax } from "./release1-body.ts";
import { type Layer, releaseSpace } from "./release1-space.ts";
import { choosingSteps, framesFor, STEP_MIN } from "./release1-steps.ts";
import { quantising } from "./release1-vectors.ts";
import { cutting } from "./release1-writer.ts";
import { atOnce, type Slices } from "./slices.ts";

/** What steps in use may leave empty. */
const WASTE_MAX = 0.15;
/** Trials to make steps coarser after they were chosen. */
const ROUNDS_MAX = 8;

/**
 * Rendition 1 of `release` (vectors in the space of `model`): at the steps of `previous` when they
 * still serve, at new ones otherwise.
 */
export function layRelease1(
  release: Release,
  model: CodecModel | null,
  previous: Release1 | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
): Release1 {
  return atOnce(layingRelease1(release, model, previous, frameBytes));
}

/**
 * {@link layRelease1} in slices. At the previous steps `settle` may put rows and counts of `previous`
 * in the place of new ones that say nearly the same.
 */
export function* layingRelease1(
  release: Release,
  model: CodecModel | null,
  previous: Release1 | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
  settle: (laid: Release1) => Release1 = (laid) => laid,
): Slices<Release1> {
  if (previous !== null && mayKeepSteps(previous, release, model)) {
    const kept = settle(yield* quantising(release, model, previous.steps));
    const verdict = yield* judging(kept, model, frameBytes);
    if (!verdict.tooFine && !verdict.wasteful) return kept;
  }
  let steps = yield* choosingSteps(release, model, frameBytes);
  for (let round = 0; ; round += 1) {
    const laid = yield* quantising(release, model, steps);
    const { tooFine } = yield* judging(laid, model, frameBytes);
    if (tooFine === null || round === ROUNDS_MAX) return laid;
    // Only where a layer has several frames, and the sample that stood for all of them was light.
    steps = { ...steps, [tooFine]: steps[tooFine] + 1 };
  }
}

function mayKeepSteps(previous: Release1, release: Release, model: CodecModel | null): boolean {
  const sameSpace = previous.space === (model?.version ?? 0) && previous.dim === release.dim;
  return sameSpace && previous.patterns.length > 0 && release.patterns.length > 0;
}

/** What of the steps of a release does not serve. */
interface Verdict {
  /** The first layer that does not fit its frames. */
  readonly tooFine: Layer | null;
  /** Whether a layer leaves too much of its frames empty. */
  readonly wasteful: boolean;
}

/** Whether the layers of `release` fit the frames they are meant for, without much waste. */
export function stepsServe(
  release: Release1,
  model: CodecModel | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
): boolean {
  const { tooFine, wasteful } = atOnce(judging(release, model, frameBytes));
  return tooFine === null && !wasteful;
}

function* judging(
  release: Release1,
  model: CodecModel | null,
  frameBytes: number,
): Slices<Verdict> {
  const { steps, patterns, trends } = release;
  const { width } = releaseSpace(release.dim, model);
  const frames = framesFor(patterns, trends, width, frameBytes);
  const parts = yield* cutting(null, release, model, frameBytes);
  const coarseParts = 1 + parts.findLastIndex(({ coarse }) => coarse > 0);
  const fine = parts.reduce((sum, { fineBytes }) => sum + fineBytes, 0);
  const coarse = parts.reduce((sum, { body }) => sum + body.bytes.length, 0) - fine;
  const bytesMin = (1 - WASTE_MAX) * frames * partBytesMax(frameBytes);
  const wasteful = (layer: Layer, bytes: number) =>
    bytes < bytesMin && steps[layer] > STEP_MIN[layer];
  return {
    tooFine: coarseParts > frames ? "coarse" : parts.length > 2 * frames ? "fine" : null,
    wasteful: wasteful("coarse", coarse) || wasteful("fine", fine),
  };
}
