/**
 * Meanings: what a symbol is read as, one number per place of a reading table. Whoever reads a vector
 * says what it wants (vector-reader.ts), and no second pass turns one into another.
 * @module
 */
import { perObject } from "../../core/index.ts";
import { type EntropyModel, ROW_SHIFTS, ROWS, SHIFT_UNIT } from "./entropy.ts";
import { ROW_PLACES } from "./reading-tables.ts";
import { roundInto } from "./round.ts";
import { perStep, stepOf } from "./step.ts";
import { levelOf } from "./trellis.ts";

export interface Meaning {
  readonly byPlace: Int32Array;
  /** Of an escape at `place`, whose magnitude followed it. */
  ofEscape(place: number, magnitude: number): number;
}

/** The indices themselves. */
export const AS_INDICES: Meaning = meaning((place, magnitude) => signed(place, magnitude));

/** What the indices stand for, in steps by {@link SHIFT_UNIT}. */
export const asValues = perObject(({ shifts }: EntropyModel) =>
  meaning((place, magnitude) => {
    const row = Math.floor(place / ROW_PLACES);
    const shift = shifts[row * ROW_SHIFTS + Math.min(magnitude, ROW_SHIFTS - 1)] as number;
    return signed(place, levelOf(row & 1, magnitude) * SHIFT_UNIT - (magnitude === 0 ? 0 : shift));
  }),
);

/** What they stand for with this step, rounded to whole grid steps as `roundInto` does. */
export const asWholeSteps = perStep((model: EntropyModel, step): Meaning => {
  const values = asValues(model);
  const unit = stepOf(step) / SHIFT_UNIT;
  const byPlace = new Int32Array(values.byPlace.length);
  roundInto(
    byPlace,
    Float64Array.from(values.byPlace, (value) => value * unit),
    0,
  );
  const ofEscape = (place: number, magnitude: number) => {
    const whole = new Int32Array(1);
    roundInto(whole, Float64Array.of(values.ofEscape(place, magnitude) * unit), 0);
    return whole[0] as number;
  };
  return { byPlace, ofEscape };
});

function meaning(of: (place: number, magnitude: number) => number): Meaning {
  const byPlace = new Int32Array(ROWS * ROW_PLACES);
  for (let place = 0; place < byPlace.length; place += 1) {
    byPlace[place] = of(place, (place % ROW_PLACES) >> 1);
  }
  return { byPlace, ofEscape: of };
}

function signed(place: number, size: number): number {
  return place & 1 ? -size : size;
}
