/**
 * How many of a list fit: a search that follows the line which sizes nearly lie on.
 * @module
 */

/**
 * The largest count in `low` … `countMax` whose size is at most `bytesMax`; that of `low` counts as
 * fitting. Sizes grow nearly in a straight line, so the search follows it (regula falsi) and halves
 * the range every third time, in case they do not.
 */
export function largestFitting(
  low: number,
  countMax: number,
  bytesMax: number,
  sizeAt: (count: number) => number,
): number {
  if (countMax === low) return low;
  let fits = { count: low, bytes: sizeAt(low) };
  let above = { count: countMax, bytes: sizeAt(countMax) };
  if (above.bytes <= bytesMax) return countMax;
  for (let round = 0; above.count - fits.count > 1; round += 1) {
    const range = above.count - fits.count;
    const share = round % 3 === 2 ? 0.5 : (bytesMax - fits.bytes) / (above.bytes - fits.bytes);
    const guess = fits.count + Math.floor(share * range);
    const count = Math.min(above.count - 1, Math.max(fits.count + 1, guess));
    const probe = { count, bytes: sizeAt(count) };
    if (probe.bytes <= bytesMax) fits = probe;
    else above = probe;
  }
  return fits.count;
}
