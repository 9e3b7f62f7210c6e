/**
 * Steps: the index in the frame becomes the exact width of the quantiser.
 *
 *   step(s) = 2^(s/32) grid steps, s = 0…1023
 *
 * The 32 fractional powers are integers of 25 bits, the octave is an exact power of two: every
 * engine computes the same double, and a level times a step never rounds.
 * @module
 */
import { assert, ProtocolError, perObject } from "../../core/index.ts";

/** Index units in one octave; spectra count in the same unit. */
export const STEPS_PER_OCTAVE = 32;
export const STEP_INDEX_MAX = 1023;

const MANTISSA_ONE = 2 ** 24;
/** round(2^(24 + j/32)) for j = 0…31. */
const MANTISSAS: readonly number[] = [
  16777216, 17144589, 17520007, 17903645, 18295684, 18696307, 19105703, 19524063, 19951585,
  20388467, 20834917, 21291142, 21757357, 22233781, 22720638, 23218155, 23726566, 24246111,
  24777031, 25319578, 25874004, 26440571, 27019544, 27611195, 28215802, 28833647, 29465022,
  30110222, 30769550, 31443315, 32131834, 32835430,
];

/** The width in grid steps of step `index`, an integer 0…1023. */
export function stepOf(index: number): number {
  assert(
    Number.isInteger(index) && index >= 0 && index <= STEP_INDEX_MAX,
    "a step index is 0…1023",
  );
  return (MANTISSAS[index & 31] as number) * (((1 << (index >> 5)) >>> 0) / MANTISSA_ONE);
}

/** What a peer wrote as step index. Throws `ProtocolError("codec.step")`. */
export function requireStep(index: number): number {
  if (index <= STEP_INDEX_MAX) return index;
  throw new ProtocolError("codec.step", `a step index is at most 1023: got ${index}`, {
    detail: { index },
  });
}

/** Of one object. A fleet uses few steps at a time, and what is kept is some kilobytes each. */
const STEPS_KEPT_MAX = 64;

/** `make`, called once per object and step while no more than {@link STEPS_KEPT_MAX} are in use. */
export function perStep<Owner extends object, Value extends object>(
  make: (owner: Owner, step: number) => Value,
): (owner: Owner, step: number) => Value {
  const keptOf = perObject((_owner: Owner) => new Map<number, Value>());
  return (owner, step) => {
    const kept = keptOf(owner);
    let value = kept.get(step);
    if (value === undefined) {
      if (kept.size >= STEPS_KEPT_MAX) kept.clear();
      value = make(owner, step);
      kept.set(step, value);
    }
    return value;
  };
}
