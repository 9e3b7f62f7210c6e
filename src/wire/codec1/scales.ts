/**
 * Scales: what makes the mean over many senders right.
 *
 * A quantiser that minimises the error shrinks what it codes. Multiplied by ‖z‖² / ⟨z, ẑ⟩, the decoded
 * vector is the original plus an error at right angles to it; over random rotations the error has no
 * preferred direction, so its mean is zero (EDEN: Vargaftik et al., "EDEN: communication-efficient and
 * robust distributed mean estimation for federated learning", 2022).
 *
 * Scale byte b means step(b) / 2, so ½ to 2^7. Of the two bytes around a scale a coin chooses, with
 * the odds that make their mean exact; the coin is a hash of the vector's seed.
 * @module
 */
import { mixed } from "./seed.ts";
import { stepOf } from "./step.ts";

const UNIT = 2;
const BYTE_MAX = 255;

/** The factor of a scale byte. */
export function scaleOf(byte: number): number {
  return stepOf(byte) / UNIT;
}

/** The scale byte for vector `z` that was decoded as `decoded`. */
export function scaleByte(z: Float64Array, decoded: Float64Array, seed: number): number {
  let square = 0;
  let product = 0;
  for (let at = 0; at < z.length; at += 1) {
    square += (z[at] as number) * (z[at] as number);
    product += (z[at] as number) * (decoded[at] as number);
  }
  const scale = product > 0 ? square / product : 1;
  let byte = 0;
  while (byte < BYTE_MAX - 1 && scaleOf(byte + 1) <= scale) byte += 1;
  const odds = (scale - scaleOf(byte)) / (scaleOf(byte + 1) - scaleOf(byte));
  return mixed(seed + 1) / 2 ** 32 < odds ? byte + 1 : byte;
}
