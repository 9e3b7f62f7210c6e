/**
 * What a codec model is worth, in decibels: 6.02 dB are one bit saved in every coefficient.
 *
 * The gain of a transform code is the arithmetic over the geometric mean of its coefficients'
 * variances (Jayant and Noll, "Digital Coding of Waveforms", 1984, ch. 12). Two things make it an
 * honest number for a decision. The coder spends by the model's variances, not by the true ones, so
 * each coefficient is charged for how wrong the model is about it (the divergence of two Gaussians);
 * a model that has aged may thus be worth less than none. And nothing counts below the distortion
 * that pushes and pulls are sent with: what lies there is not sent at all.
 *
 * The reference is the rotation without a model, which codes the vector itself with one variance.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import { type CodecModel, type GridVector, toSpace } from "../wire/index.ts";

/** Mean square error over mean square of what is coded: a cosine of 0.985. */
const DISTORTION = 1 / 32;
const DB_PER_NEPER = 10 / Math.LN10;
/** Marks of the spectrum in one octave of the variance. */
const MARKS_PER_VARIANCE_OCTAVE = 16;
/** Vectors transformed at a time, to bound what is held. */
const BATCH = 256;

/** The gain of `model` on `samples`, which it should not have been learnt from; at most 15 dB. */
export function codecGainDb(model: CodecModel, samples: readonly GridVector[]): number {
  if (samples.length === 0) {
    throw new SerializationError("model.samples", "a model is judged by one pattern or more");
  }
  const { energy, deviations } = measure(model, samples);
  if (energy === 0) return 0;
  const floor = energy * DISTORTION;
  let charged = 0;
  for (let at = 0; at < model.dim; at += 1) {
    const level = model.spectrum[at] as number;
    const believed = Math.max(floor, 2 ** (level / MARKS_PER_VARIANCE_OCTAVE));
    const actual = Math.max(floor, deviations[at] as number);
    charged += Math.log(believed) + actual / believed - 1;
  }
  return DB_PER_NEPER * (Math.log(energy) - charged / model.dim);
}

/** The mean square of a component, and of each coefficient's distance to the model's mean. */
function measure(model: CodecModel, samples: readonly GridVector[]) {
  const deviations = new Float64Array(model.dim);
  let energy = 0;
  for (let from = 0; from < samples.length; from += BATCH) {
    for (const image of toSpace(model, samples.slice(from, from + BATCH))) {
      for (let at = 0; at < model.dim; at += 1) {
        const component = image[at] as number;
        energy += component * component;
        const deviation = component - (model.mean[at] as number);
        deviations[at] = (deviations[at] as number) + deviation * deviation;
      }
    }
  }
  return {
    energy: energy / (samples.length * model.dim),
    deviations: deviations.map((sum) => sum / samples.length),
  };
}
