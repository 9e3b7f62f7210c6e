/**
 * IEEE 754 binary16, which this Node has no typed array for: 1 sign, 5 exponent, 10 mantissa bits.
 * @module
 */

const MANTISSA = 1024;
const EXPONENT_MIN = -14;
const EXPONENT_MAX = 15;

/** The nearest half; beyond 65,504 the largest one, since a scale has no use for infinity. */
export function toHalf(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return 0;
  const exponent = Math.max(EXPONENT_MIN, Math.min(EXPONENT_MAX, Math.floor(Math.log2(size))));
  // With a subnormal, the mantissa stays below 1024 and the exponent field becomes 0 by itself;
  // when rounding lifts it to 2048, the sum carries into the exponent, which is the right half.
  const mantissa = Math.round((size / 2 ** exponent) * MANTISSA);
  const bits = (exponent - EXPONENT_MIN) * MANTISSA + mantissa;
  return bits === 0 ? 0 : sign | Math.min(0x7bff, bits);
}

export function fromHalf(half: number): number {
  const field = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  const size =
    field === 0
      ? mantissa * 2 ** (EXPONENT_MIN - 10)
      : (MANTISSA + mantissa) * 2 ** (field - 1 + EXPONENT_MIN - 10);
  return half & 0x8000 ? -size : size;
}
